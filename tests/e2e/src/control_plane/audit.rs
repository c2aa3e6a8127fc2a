//! What the API server says it was asked: its audit log. Needs `Builder::audit`.

use std::io::{Read, Seek, SeekFrom};

use serde_json::Value;

use super::ControlPlane;
use crate::{Context, Result};

/// How far an audit log was read.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditMark(u64);

impl ControlPlane {
    /// The audit events so far (`audit.k8s.io/v1` Event objects), one for each answered
    /// request. Needs [`super::Builder::audit`].
    ///
    /// # Errors
    /// Auditing is off, or the log cannot be read.
    pub fn audit(&self) -> Result<Vec<Value>> {
        self.audit_since(&mut AuditMark::default())
    }

    /// The audit events since the last call with this mark, which is moved on.
    ///
    /// # Errors
    /// As [`ControlPlane::audit`].
    pub fn audit_since(&self, mark: &mut AuditMark) -> Result<Vec<Value>> {
        let path = self.layout.audit_log();
        let what = format!("{}: is auditing on? Builder::audit", path.display());
        let mut file = std::fs::File::open(&path).context(&what)?;
        file.seek(SeekFrom::Start(mark.0)).context(&what)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context(&what)?;
        // The last line may be in the middle of being written.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |end| end + 1));
        mark.0 += u64::try_from(bytes.len()).unwrap_or(0);
        let lines = bytes.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).context(path.display()))
            .collect()
    }
}
