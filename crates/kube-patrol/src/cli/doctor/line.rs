//! What a check of the doctor found: one line, in words and as data.

use serde_json::{Value, json};

use crate::cli::ui::{self, Colour, Table};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Nothing is wrong.
    Ok,
    /// Was not asked for.
    Skip,
    /// Something is not as it should be, or could not be looked at.
    Warn,
    /// Something does not work.
    Fail,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Ok, Self::Skip, Self::Warn, Self::Fail];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Skip => "SKIP",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }

    const fn colour(self) -> Colour {
        match self {
            Self::Ok => Colour::Green,
            Self::Skip => Colour::Dim,
            Self::Warn => Colour::Yellow,
            Self::Fail => Colour::Red,
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What was looked at, as a short word.
    pub check: &'static str,
    /// The object it is about; empty when there is only one.
    pub object: String,
    pub level: Level,
    /// What was found, in a sentence.
    pub says: String,
    /// What to do; empty when nothing is.
    pub fix: String,
    /// Whether it could be looked at.
    pub seen: bool,
}

impl Line {
    pub fn new(check: &'static str, level: Level, says: impl Into<String>) -> Self {
        Self {
            check,
            object: String::new(),
            level,
            says: says.into(),
            fix: String::new(),
            seen: true,
        }
    }

    pub fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, says)
    }

    pub fn warn(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Level::Warn, says)
    }

    pub fn fail(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Level::Fail, says)
    }

    /// What cannot be read is said, and proves nothing.
    pub fn unseen(
        check: &'static str,
        what: &str,
        why: patrol_kube::ask::NoAnswer,
        right: &str,
    ) -> Self {
        let fix = if why.is_denied() {
            format!("allow {right}, or ask somebody who may")
        } else {
            "try again; see whether the API server is well".to_owned()
        };
        Self {
            seen: false,
            ..Self::warn(check, format!("{what} cannot be read: {why}")).fix(fix)
        }
    }

    pub fn about(mut self, object: impl Into<String>) -> Self {
        self.object = object.into();
        self
    }

    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }
}

/// The lines for people: a table, and below it what to do about each that is not well.
pub(super) fn table(lines: &[Line], colours: bool) -> String {
    let mut table = Table::new(&["STATUS", "CHECK", "OBJECT", "FINDING"]);
    for line in lines {
        let object = if line.object.is_empty() {
            "-"
        } else {
            line.object.as_str()
        };
        table.row([
            (line.level.as_str().to_owned(), Some(line.level.colour())),
            (line.check.to_owned(), None),
            (object.to_owned(), None),
            (line.says.clone(), None),
        ]);
    }
    let mut out = table.fit(colours);
    let width = ui::width();
    for line in lines.iter().filter(|line| !line.fix.is_empty()) {
        let about = match line.object.as_str() {
            "" => line.check.to_owned(),
            object => format!("{} {object}", line.check),
        };
        let text = format!("{about}: {}", line.fix);
        let text = ui::wrap(&ui::clean(&text), 5, "     ", width);
        out.push_str(&format!("\nfix: {text}"));
    }
    if lines.iter().any(|line| !line.fix.is_empty()) {
        out.push('\n');
    }
    out
}

/// The lines for programs.
pub(super) fn json(lines: &[Line]) -> Value {
    let count = |level: Level| lines.iter().filter(|l| l.level == level).count();
    let summary: serde_json::Map<String, Value> = Level::ALL
        .into_iter()
        .map(|level| (level.as_str().to_lowercase(), json!(count(level))))
        .collect();
    let checks: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "check": line.check,
                "object": line.object,
                "status": line.level.as_str(),
                "finding": line.says,
                "fix": line.fix,
                "seen": line.seen,
            })
        })
        .collect();
    json!({
        "apiVersion": "kubepatrol.io/doctor/v1",
        "kind": "DoctorReport",
        "summary": summary,
        "checks": checks,
    })
}
