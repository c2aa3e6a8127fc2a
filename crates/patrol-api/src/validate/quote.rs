//! Values as the API server shows them in its sentences.
//! Never shortens a value.

use std::fmt::Write as _;

use serde_json::Value;

/// The JSON name of a value's type.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value in a sentence: a text in Go's quotes, a number in Go's shortest form, anything else as Go writes JSON.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => short(float),
            _ => number.to_string(),
        },
        other => json(other),
    }
}

/// Go's `%q`.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        // Written to a String, which cannot fail.
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\u{7}' => out.write_str("\\a"),
            '\u{8}' => out.write_str("\\b"),
            '\u{b}' => out.write_str("\\v"),
            '\u{c}' => out.write_str("\\f"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            c if u32::from(c) < 0x80 && c.is_ascii_control() => {
                write!(out, "\\x{:02x}", u32::from(c))
            }
            c if printable(c) => out.write_char(c),
            c if u32::from(c) < 0x1_0000 => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "\\U{:08x}", u32::from(c)),
        };
    }
    out.push('"');
    out
}

fn printable(c: char) -> bool {
    // A combining mark is escaped only at the beginning of a text, hence the letter before it.
    !format!("a{c}")
        .escape_debug()
        .to_string()
        .starts_with("a\\u")
}

/// Go's shortest form of a floating-point number.
fn short(float: f64) -> String {
    let magnitude = float.abs();
    if magnitude == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return format!("{float}");
    }
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// JSON as Go writes it: fit for HTML.
pub(super) fn json(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Written to a String, which cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_look_as_the_api_server_shows_them() {
        for (value, text) in [
            (
                json!("日 \"q\" <&>\\ \u{7}\u{2028}"),
                r#""日 \"q\" <&>\\ \a\u2028""#,
            ),
            (
                json!("\u{a0}\u{301}\u{7f}\u{0}\u{200b}😀"),
                "\"\\u00a0\u{301}\\x7f\\x00\\u200b😀\"",
            ),
            (json!(1_000_000.0), "1e+06"),
            (json!(1_234_567.25), "1.23456725e+06"),
            (json!(0.00001), "1e-05"),
            (json!(1e20), "1e+20"),
            (json!(3.0), "3"),
            (json!(0.1), "0.1"),
            (json!(7), "7"),
            (json!(["<a>&", 1]), r#"["\u003ca\u003e\u0026",1]"#),
        ] {
            assert_eq!(shown(&value), text);
        }
    }
}
