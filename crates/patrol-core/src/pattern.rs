//! Name globs and image references.

use wildmatch::WildMatch;

/// A glob over one name: `*` any run of characters, `?` any one.
#[derive(Clone, Debug, PartialEq)]
pub struct Glob(WildMatch);

impl Glob {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// When it is empty or uses the syntax of another glob dialect (`[`, `{`, `**`), which
    /// would silently match nothing.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("an empty pattern matches nothing: write * for everything".into());
        }
        if pattern.contains(['[', ']', '{', '}', '\\']) || pattern.contains("**") {
            return Err(format!(
                "{pattern:?} is no pattern: only * (any characters) and ? (one character) are special"
            ));
        }
        if pattern.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!(
                "{pattern:?} is no pattern: it contains white space"
            ));
        }
        Ok(Self(WildMatch::new(pattern)))
    }

    /// Whether `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }
}

/// A pattern over an image's repository: a suffix of whole path segments, each a glob, so
/// that `security/aegis*` matches the image behind any mirror prefix.
#[derive(Clone, Debug, PartialEq)]
pub struct ImagePattern(Box<[Glob]>);

impl ImagePattern {
    /// Compiles `pattern`, a repository without tag or digest.
    ///
    /// # Errors
    /// When a segment is empty or no glob, or a tag or digest is attached.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        let tail = pattern.rsplit('/').next().unwrap_or(pattern);
        if pattern.contains('@') || tail.contains(':') {
            return Err(format!(
                "{pattern:?} names a tag or digest: write the repository alone (versions go to minVersion or digests)"
            ));
        }
        let segments: Result<Box<[Glob]>, String> = pattern
            .split('/')
            .map(|segment| {
                Glob::compile(segment).map_err(|e| format!("image pattern {pattern:?}: {e}"))
            })
            .collect();
        segments.map(Self)
    }

    /// Whether the image's repository ends in this pattern.
    #[must_use]
    pub fn matches(&self, image: &ImageRef<'_>) -> bool {
        let mut have = image.repository.rsplit('/');
        // Docker Hub's implied host and folder count as written.
        let implied = match image.repository.split('/').count() {
            1 => ["library", "docker.io"].as_slice(),
            _ if !image.has_registry() => ["docker.io"].as_slice(),
            _ => &[],
        };
        let mut implied = implied.iter().copied();
        self.0.iter().rev().all(|glob| {
            have.next()
                .or_else(|| implied.next())
                .is_some_and(|segment| glob.matches(segment))
        })
    }
}

/// An image reference, taken apart (distribution/reference grammar, lenient).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageRef<'a> {
    /// Registry and path.
    pub repository: &'a str,
    /// Tag, if any.
    pub tag: Option<&'a str>,
    /// Digest (`sha256:...`), if any.
    pub digest: Option<&'a str>,
}

impl<'a> ImageRef<'a> {
    /// Takes `text` apart. Never fails: nonsense is a repository that matches nothing.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash is a port.
        let slash = rest.rfind('/').map_or(0, |i| i + 1);
        let (name, tag) = match rest.get(slash..).and_then(|tail| tail.find(':')) {
            Some(colon) => (
                rest.get(..slash + colon).unwrap_or(rest),
                rest.get(slash + colon + 1..),
            ),
            None => (rest, None),
        };
        Self {
            repository: name,
            tag,
            digest,
        }
    }

    /// Whether the first segment is a registry host.
    #[must_use]
    pub fn has_registry(&self) -> bool {
        self.repository
            .split_once('/')
            .is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        for (text, repository, tag, digest) in [
            ("nginx", "nginx", None, None),
            ("nginx:1.27", "nginx", Some("1.27"), None),
            ("reg:5000/a/b", "reg:5000/a/b", None, None),
            (
                "reg:5000/a/b:v1@sha256:00",
                "reg:5000/a/b",
                Some("v1"),
                Some("sha256:00"),
            ),
            ("a@sha256:00", "a", None, Some("sha256:00")),
            ("", "", None, None),
        ] {
            assert_eq!(
                ImageRef::parse(text),
                ImageRef {
                    repository,
                    tag,
                    digest
                },
                "{text}"
            );
        }
    }

    #[test]
    fn image_patterns_match_whole_segments_from_the_end() {
        for (pattern, image, expected) in [
            (
                "security/aegis*",
                "registry.example.com/security/aegis-agent:3",
                true,
            ),
            ("security/aegis*", "mirror.local/x/security/aegis:3", true),
            (
                "security/aegis*",
                "registry.example.com/insecurity/aegis:3",
                false,
            ),
            (
                "registry.example.com/security/aegis",
                "mirror.local/registry.example.com/security/aegis",
                true,
            ),
            (
                "registry.example.com/security/aegis",
                "security/aegis",
                false,
            ),
            ("docker.io/istio/proxyv2", "istio/proxyv2:1.2", true),
            ("docker.io/library/nginx", "nginx", true),
            ("nginx", "evil.com/notnginx", false),
            ("aegis", "registry.example.com/security/aegis/evil", false),
        ] {
            let compiled = ImagePattern::compile(pattern).unwrap();
            assert_eq!(
                compiled.matches(&ImageRef::parse(image)),
                expected,
                "{pattern} {image}"
            );
        }
    }

    #[test]
    fn bad_patterns_say_what_to_write() {
        for pattern in ["", "a//b", "a:1", "a@sha256:0", "a/**/b", "a[bc]"] {
            assert!(ImagePattern::compile(pattern).is_err(), "{pattern}");
        }
        assert!(Glob::compile("a b").is_err());
    }
}
