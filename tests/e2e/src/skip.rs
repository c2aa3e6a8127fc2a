//! Saying loudly that a test could not run here.
//!
//! A test that silently passes because its control plane is missing is a lie. Those
//! tests call [`or_skip`]: it writes past the test runner's capture, appends to a file
//! the caller of the runner may name, and fails instead where skipping is forbidden.

use std::fs::File;
use std::io::Write;

use crate::{Error, Result};

/// When set to `required`, a missing part fails the test instead of skipping it.
pub const MODE: &str = "KUBE_PATROL_E2E";

/// Names a file that gets one line for each skipped test: `<test>: <why>`.
pub const REPORT: &str = "KUBE_PATROL_E2E_SKIPPED";

/// Passes a value on; turns [`Error::Unavailable`] into `None` after saying that `test`
/// is skipped and why.
///
/// # Errors
/// Any other error, and [`Error::Unavailable`] too where [`MODE`] is `required`.
pub fn or_skip<T>(test: &str, result: Result<T>) -> Result<Option<T>> {
    let why = match result {
        Ok(value) => return Ok(Some(value)),
        Err(Error::Unavailable(why)) => why,
        Err(error) => return Err(error),
    };
    if std::env::var(MODE).is_ok_and(|mode| mode == "required") {
        return Err(Error::failed(format!("{test}: {MODE}=required, but {why}")));
    }
    let line = format!("{test}: {}\n", why.replace('\n', " "));
    // Straight to the descriptor: the runner captures only the print macros. A closed
    // standard error is no reason to fail, the report below is what counts.
    let _ = std::io::stderr().write_all(format!("SKIPPED {line}").as_bytes());
    if let Some(path) = std::env::var_os(REPORT) {
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|error| {
                Error::failed(format!("{}: cannot record a skip: {error}", path.display()))
            })?;
    }
    Ok(None)
}
