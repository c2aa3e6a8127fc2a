//! The real `kubectl`, as an identity, with a deadline.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{ADMIN, ControlPlane};
use crate::child::{Output, run};
use crate::{Context, Result};

/// Longer than any `kubectl wait --timeout` that a test should use.
const DEADLINE: Duration = Duration::from_secs(300);

impl ControlPlane {
    /// Runs `kubectl` as an identity. A refusal is an [`Output`], not an error.
    ///
    /// # Errors
    /// The identity was not asked for, or kubectl cannot be run to its end.
    pub fn kubectl<I, S>(&self, identity: &str, args: I) -> Result<Output>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.kubectl_with_input(identity, args, None)
    }

    /// As [`ControlPlane::kubectl`], with text on the standard input.
    ///
    /// # Errors
    /// As [`ControlPlane::kubectl`].
    pub fn kubectl_with_input<I, S>(
        &self,
        identity: &str,
        args: I,
        input: Option<&str>,
    ) -> Result<Output>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(&self.kubectl);
        command
            .args(args)
            .env("KUBECONFIG", self.kubeconfig(identity)?)
            // Nothing of the user's own: settings, plugins, caches.
            .env("HOME", self.layout.kube())
            .env("KUBECACHEDIR", self.layout.kube().join("cache"));
        let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let name = format!("kubectl {} (as {identity})", arguments.join(" "));
        run(&name, &mut command, input, DEADLINE)
    }

    /// Applies manifests (YAML or JSON, several documents) as the administrator and
    /// returns what kubectl printed.
    ///
    /// # Errors
    /// One of them is refused.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        self.apply_as(ADMIN, manifests)?.success()
    }

    /// Applies manifests as an identity.
    ///
    /// # Errors
    /// As [`ControlPlane::kubectl`].
    pub fn apply_as(&self, identity: &str, manifests: &str) -> Result<Output> {
        self.kubectl_with_input(identity, ["apply", "-f", "-"], Some(manifests))
    }

    /// What `kubectl get ... -o json` prints, as the administrator.
    ///
    /// # Errors
    /// The object is not there.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        let mut all = vec!["get", "-o", "json"];
        all.extend_from_slice(args);
        let text = self.kubectl(ADMIN, all)?.success()?;
        serde_json::from_str(&text).context("kubectl get: not JSON")
    }
}
