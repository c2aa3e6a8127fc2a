//! Object names as file names, and back. A name out of a manifest can be anything: it must
//! not lead out of its folder, hide a file or fall together with another name on a file
//! system that does not tell upper and lower case apart.

use patrol_core::facts::ObjectKey;
use std::path::{Path, PathBuf};

/// The longest file name that every file system takes, in bytes.
const MAX_NAME: usize = 255;

const EXTENSION: &str = ".yaml";

/// The file name of an object, or `None` when it would be too long. Letters, digits, `-`,
/// `_` and inner dots stand for themselves, everything else for `%` and its hexadecimal
/// bytes.
#[must_use]
pub fn file_name(name: &str) -> Option<String> {
    let encoded = format!("{}{EXTENSION}", encode(name)?);
    (encoded.len() <= MAX_NAME).then_some(encoded)
}

/// The name a file stands for.
#[must_use]
pub fn object_name(file_name: &str) -> Option<String> {
    decode(file_name.strip_suffix(EXTENSION)?)
}

/// The folder name of a namespace.
#[must_use]
pub fn folder_name(namespace: &str) -> Option<String> {
    encode(namespace).filter(|name| name.len() <= MAX_NAME)
}

/// The namespace a folder stands for.
#[must_use]
pub fn namespace(folder_name: &str) -> Option<String> {
    decode(folder_name)
}

/// Where the file of a namespaced object lies below `root`.
#[must_use]
pub fn path(root: &Path, key: &ObjectKey) -> Option<PathBuf> {
    Some(
        root.join(folder_name(&key.namespace)?)
            .join(file_name(&key.name)?),
    )
}

fn encode(name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(name.len());
    for (i, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            b'.' if i > 0 => out.push('.'),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    Some(out)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, tail) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(tail.get(1..3)?, 16).ok()?);
        rest = tail.get(3..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes)
        .ok()
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_stand_for_themselves() {
        assert_eq!(file_name("web-1.example").unwrap(), "web-1.example.yaml");
        assert_eq!(folder_name("shop").unwrap(), "shop");
    }

    #[test]
    fn no_name_leads_out_of_its_folder() {
        for name in [
            "..",
            ".",
            "../../etc/passwd",
            "a/b",
            ".tmp-x",
            "a\\b",
            "A",
            "\0",
            "支付",
        ] {
            let file = file_name(name).unwrap();
            assert!(
                !file.starts_with('.') && !file.contains(['/', '\\', '\0']),
                "{file}"
            );
            assert_eq!(Path::new(&file).components().count(), 1);
        }
        assert_ne!(file_name("A"), file_name("a"));
        assert_eq!(file_name(""), None);
        assert_eq!(file_name(&"x".repeat(300)), None);
        let key = ObjectKey::new("..", "x");
        assert_eq!(
            path(Path::new("r"), &key).unwrap(),
            Path::new("r/%2e./x.yaml")
        );
    }

    proptest::proptest! {
        #[test]
        fn every_name_comes_back(name in "\\PC{1,60}") {
            let file = file_name(&name);
            if let Some(file) = file {
                proptest::prop_assert_eq!(object_name(&file), Some(name));
            }
        }
    }
}
