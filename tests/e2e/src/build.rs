//! Where the programs of the control plane come from.
//!
//! `KUBEBUILDER_ASSETS` wins when it is set (the convention of envtest). Otherwise they
//! are built once from the Go modules beside this crate into a cache folder outside the
//! work tree, named after the sources they came from, so that a stale program is never
//! run. Nothing here downloads a program: Go fetches sources and checks them against
//! the committed `go.sum`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use data_encoding::HEXLOWER;
use ring::digest;

use crate::child::run;
use crate::{Context, Error, Result};

/// The variable that names a folder with `etcd`, `kube-apiserver` and `kubectl`.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// A cold build takes five minutes on two idle cores; a loaded machine needs more.
const BUILD_DEADLINE: Duration = Duration::from_secs(3600);

/// Without these `/version` says v0.0.0 and clients misjudge the server.
const LDFLAGS: &str = "-s -w \
    -X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 \
    -X k8s.io/component-base/version.gitMinor=36";

/// The names that the one built program answers to.
const NAMES: [&str; 5] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
];

/// The programs of a control plane.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those of a folder of the user's own.
    fn in_folder(folder: &Path) -> Result<Self> {
        // The processes run in folders of their own: a relative path would mislead.
        let folder = std::path::absolute(folder).context(folder.display())?;
        let programs = Self { folder };
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            programs.path(name)?;
        }
        Ok(programs)
    }

    /// The path of one program.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the folder does not have it.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        if path.exists() {
            return Ok(path);
        }
        Err(Error::unavailable(format!(
            "{}: has no {name}: add it, or unset {ASSETS} to have it built with Go",
            self.folder.display()
        )))
    }
}

/// The control plane: from [`ASSETS`], or built.
///
/// # Errors
/// [`Error::Unavailable`] if [`ASSETS`] lacks one of `etcd`, `kube-apiserver` and
/// `kubectl`, or if it is not set and Go is not installed; another error if the build
/// fails.
pub fn control_plane() -> Result<Programs> {
    if let Some(folder) = std::env::var_os(ASSETS).filter(|value| !value.is_empty()) {
        return Programs::in_folder(Path::new(&folder));
    }
    let module = Module::new("control-plane", ".")?;
    let program = module.program()?;
    let folder = module.folder;
    for name in NAMES {
        match symlink(&program, folder.join(name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error)
                    .context(format_args!("{}: cannot link {name}", folder.display()));
            }
            _ => {}
        }
    }
    Ok(Programs { folder })
}

/// kwok: from [`ASSETS`] if it is there, else built.
///
/// # Errors
/// [`Error::Unavailable`] if Go is needed and not installed; another error if the build
/// fails.
pub fn kwok() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(ASSETS).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(folder).join("kwok");
        if path.exists() {
            return Ok(path);
        }
    }
    Module::new("kwok", "sigs.k8s.io/kwok/cmd/kwok")?.program()
}

/// A Go module of the tests and the folder its program is cached in.
struct Module {
    name: &'static str,
    package: &'static str,
    sources: PathBuf,
    folder: PathBuf,
}

impl Module {
    fn new(name: &'static str, package: &'static str) -> Result<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        let sources = fs::canonicalize(&sources).context(format_args!(
            "{}: cannot find the module",
            sources.display()
        ))?;
        let folder = cache_folder()?.join(name).join(fingerprint(&sources)?);
        Ok(Self {
            name,
            package,
            sources,
            folder,
        })
    }

    /// The program, built if it is not in the cache yet. Builders in other processes
    /// wait for the first.
    fn program(&self) -> Result<PathBuf> {
        let program = self.folder.join(self.name);
        if program.exists() {
            return Ok(program);
        }
        let what = format!("{}: cannot prepare the cache folder", self.folder.display());
        fs::create_dir_all(&self.folder).context(&what)?;
        let lock = File::create(self.folder.join("lock")).context(&what)?;
        lock.lock().context(&what)?;
        if !program.exists() {
            self.build(&program)?;
        }
        Ok(program)
    }

    fn build(&self, program: &Path) -> Result<()> {
        let go = go_version()?;
        eprintln!(
            "Building {} with {go} into {} (once; minutes when Go's build cache is cold) ...",
            self.name,
            self.folder.display()
        );
        // Renamed when whole: an interrupted build leaves no program.
        let unfinished = program.with_extension("unfinished");
        let mut command = Command::new("go");
        command
            .current_dir(&self.sources)
            .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly"])
            .args(["-ldflags", LDFLAGS, "-o"])
            .arg(&unfinished)
            .arg(self.package);
        let name = format!("go build in {}", self.sources.display());
        run(&name, &mut command, None, BUILD_DEADLINE)?.success()?;
        fs::rename(&unfinished, program).context(format_args!(
            "{}: cannot move the built program",
            program.display()
        ))
    }
}

fn go_version() -> Result<String> {
    match Command::new("go").arg("version").output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Err(Error::failed(format!(
            "go version: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ))),
        Err(error) => Err(Error::unavailable(format!(
            "no control plane: cannot run go ({error}): install Go 1.26 or later, or set {ASSETS} \
             to a folder with etcd, kube-apiserver and kubectl"
        ))),
    }
}

/// `$XDG_CACHE_HOME/kube-patrol`, else `$HOME/.cache/kube-patrol`.
fn cache_folder() -> Result<PathBuf> {
    let set = |name: &str| -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    };
    set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .map(|cache| cache.join("kube-patrol"))
        .ok_or_else(|| Error::failed("cache folder: unknown: set XDG_CACHE_HOME or HOME"))
}

/// Names a build after everything that goes into it: module files, sources, flags.
fn fingerprint(sources: &Path) -> Result<String> {
    let what = format!("{}: cannot read the module", sources.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(sources).context(&what)? {
        let path = entry.context(&what)?.path();
        let counts = path
            .extension()
            .is_some_and(|extension| ["go", "mod", "sum"].iter().any(|known| extension == *known));
        if counts {
            files.push(path);
        }
    }
    files.sort();
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(LDFLAGS.as_bytes());
    for path in files {
        let bytes = fs::read(&path).context(&what)?;
        context.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        context.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        context.update(&bytes);
    }
    let whole = HEXLOWER.encode(context.finish().as_ref());
    Ok(whole.chars().take(16).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_needs_the_three_programs_of_envtest_and_may_lack_the_others() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver"] {
            File::create(folder.path().join(name)).unwrap();
        }
        let error = Programs::in_folder(folder.path()).unwrap_err();
        assert!(
            matches!(&error, Error::Unavailable(text) if text.contains("kubectl")),
            "{error}"
        );
        File::create(folder.path().join("kubectl")).unwrap();
        let programs = Programs::in_folder(folder.path()).unwrap();
        let error = programs.path("kube-scheduler").unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
    }

    #[test]
    fn every_source_and_nothing_else_changes_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("go.mod", "a");
        write("go.sum", "b");
        write("main.go", "c");
        let mut seen = vec![fingerprint(folder.path()).unwrap()];
        write("README.md", "nothing");
        assert_eq!(seen, [fingerprint(folder.path()).unwrap()]);
        for (name, text) in [
            ("go.mod", "b"),
            ("go.sum", "x"),
            ("main.go", "d"),
            ("etcd.go", ""),
        ] {
            write(name, text);
            let next = fingerprint(folder.path()).unwrap();
            assert!(!seen.contains(&next), "{name}");
            seen.push(next);
        }
    }
}
