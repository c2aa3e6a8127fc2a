//! What people read in chats: a body without what is of our own making holds no mark that any of them takes for markup, a
//! link or a call. Our own are taken out first, each in the one form it may have; since no text of others can hold their
//! marks, nobody else's gets out with them.

use patrol_api::receiver::{EndpointKind, Mentions};
use serde_json::Value;

/// Where our links lead.
const PAGE: &str = "https://github.com/kube-patrol/kube-patrol/blob/main/docs/reference/checks.md#";
/// Fields that hold ids of people and nothing else.
const IDS: &[&str] = &[
    "atMobiles",
    "atUserIds",
    "mentioned_list",
    "mentioned_mobile_list",
    "id",
    "name",
];
/// Marks that are not left in any text.
const MARKUP: &[&str] = &[
    "<", ">", "@", "[", "]", "\\", "~", "|", "`", "://", "www.", "WWW.",
];

pub(super) fn check(kind: EndpointKind, body: &Value, mentions: Option<&Mentions>) {
    let mut texts = vec![];
    super::texts("", body, &mut texts);
    for (name, text) in texts {
        let why = || format!("{kind:?}: {name}: {text:?}");
        let steered = text.chars().any(|c| super::steers(c) && c != '\n');
        assert!(!steered, "{}", why());
        match name {
            // Names of fields, the card's schema, and pages of ours.
            "" | "$schema" | "contentType" | "version" => {
                assert!(text.is_ascii(), "{}", why());
                continue;
            }
            "url" => {
                let id = text.strip_prefix(PAGE).unwrap_or("!");
                assert!(id.chars().all(of_id), "{}", why());
                continue;
            }
            name if IDS.contains(&name) => {
                assert!(text.chars().all(of_person), "{}", why());
                continue;
            }
            _ => {}
        }
        let foreign = without_ours(kind, text, mentions);
        let stray = MARKUP.iter().find(|mark| foreign.contains(**mark));
        assert_eq!(stray, None, "{}: {foreign:?}", why());
        for line in foreign.lines() {
            if let Some(fault) = fault(kind, line) {
                panic!("{fault}: {line:?} in {}", why());
            }
        }
    }
    provider(kind, body);
}

fn of_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

fn of_person(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.@-+".contains(c)
}

/// A text without our links, our commands and whom the receiver's object names.
fn without_ours(kind: EndpointKind, text: &str, mentions: Option<&Mentions>) -> String {
    let mut text = text.to_owned();
    if kind == EndpointKind::Slack {
        text = text.replace("&amp;", "&");
    }
    for call in mentions
        .into_iter()
        .flat_map(|mentions| calls(kind, mentions))
    {
        text = text.replace(&call, "somebody");
    }
    while let Some(at) = text.find(PAGE) {
        let after = at + PAGE.len();
        let end = text[after..]
            .find(|c| !of_id(c))
            .map_or(text.len(), |end| after + end);
        let (from, to) = around(kind, &text, at, end);
        text.replace_range(from..to, "");
    }
    let lines = text.lines().map(|line| match line.find("kubectl ") {
        Some(at) => without_command(kind, line, at),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// From where to where a link reaches whose address does from `at` to `end`.
fn around(kind: EndpointKind, text: &str, at: usize, end: usize) -> (usize, usize) {
    let next = text[end..].chars().next();
    if kind == EndpointKind::Slack {
        assert_eq!(next, Some('|'), "{text:?}");
        let close = text[end..].find('>').expect("a link ends");
        assert!(text[..at].ends_with('<'), "{text:?}");
        return (at - 1, end + close + 1);
    }
    if next != Some(')') {
        // Plain, where nothing is marked up.
        assert_eq!(kind, EndpointKind::Wecom, "{text:?}");
        return (at, end);
    }
    assert!(text[..at].ends_with("]("), "{text:?}");
    let open = text[..at].rfind('[').expect("a link begins");
    (open, end + 1)
}

/// A line without our command, which is all there is to its end.
fn without_command(kind: EndpointKind, line: &str, at: usize) -> String {
    let (before, command) = line.split_at(at);
    let marked = before.ends_with('`');
    let command = match marked {
        true => command.strip_suffix('`').expect("code ends with its line"),
        false => command,
    };
    let fits = matches!(kind, EndpointKind::Slack | EndpointKind::Wecom);
    assert!(fits || !marked, "{kind:?}: {line:?}");
    let safe = |c: char| c.is_ascii_alphanumeric() || " -./='!,()_".contains(c);
    // Two spaces end a line where a lone break does not.
    assert!(command.chars().all(safe), "command {command:?}");
    for word in command.split_whitespace().skip(1) {
        assert!(!word.starts_with("--"), "an option in {command:?}");
    }
    before.strip_suffix('`').unwrap_or(before).to_owned()
}

/// How people and everybody are called.
fn calls(kind: EndpointKind, mentions: &Mentions) -> Vec<String> {
    let known = |ids: &[String]| -> Vec<String> {
        ids.iter()
            .map(|id| id.chars().filter(|c| of_person(*c)).collect())
            .collect()
    };
    let (users, mobiles) = (known(&mentions.users), known(&mentions.mobiles));
    let mut said: Vec<String> = match kind {
        EndpointKind::Slack => users
            .iter()
            .flat_map(|id| [format!("<@{id}>"), format!("<!subteam^{id}>")])
            .collect(),
        EndpointKind::Teams => users.iter().map(|id| format!("<at>{id}</at>")).collect(),
        EndpointKind::Feishu => users
            .iter()
            .map(|id| format!("<at id={id}></at>"))
            .collect(),
        EndpointKind::Wecom => users.iter().map(|id| format!("<@{id}>")).collect(),
        _ => users
            .iter()
            .chain(&mobiles)
            .map(|id| format!("@{id}"))
            .collect(),
    };
    if mentions.all {
        said.extend(["<!channel>".to_owned(), "<at id=all></at>".to_owned()]);
    }
    said.retain(|call| call != "@");
    // The longest first: one id may begin another.
    said.sort_by_key(|call| std::cmp::Reverse(call.len()));
    said
}

/// What a line means that it should not.
fn fault(kind: EndpointKind, line: &str) -> Option<&'static str> {
    let star = if kind == EndpointKind::Slack {
        "*"
    } else {
        "**"
    };
    let stars = line.matches(star).count();
    let plain = line.replace(star, "");
    if stars % 2 == 1 || plain.contains('*') || kind == EndpointKind::Teams && stars > 0 {
        return Some("an asterisk");
    }
    let heading = line
        .trim_start_matches('#')
        .strip_prefix(' ')
        .unwrap_or(line);
    let begin = heading.trim_start();
    if begin.starts_with(['#', '+', '=', '-']) {
        return Some("the begin of a heading, a list or a rule");
    }
    if line.starts_with("    ") {
        return Some("the begin of code");
    }
    let number = begin.trim_start_matches(|c: char| c.is_ascii_digit());
    if number.len() < begin.len() && number.starts_with(['.', ')']) {
        return Some("the begin of a numbered list");
    }
    let chars: Vec<char> = plain.chars().collect();
    let at = |index: Option<usize>| index.and_then(|i| chars.get(i)).copied().unwrap_or(' ');
    for (index, c) in chars.iter().enumerate() {
        let before = at(index.checked_sub(1));
        let after = at(Some(index + 1));
        match c {
            '_' if !(before.is_alphanumeric() && after.is_alphanumeric()) => {
                return Some("an underline");
            }
            '&' if after == '#' || after.is_ascii_alphanumeric() => return Some("an entity"),
            ':' if after == '/' => return Some("a scheme"),
            _ => {}
        }
    }
    None
}

/// Limits of the providers beside the size of the body.
fn provider(kind: EndpointKind, body: &Value) {
    let length = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    match kind {
        EndpointKind::Slack => {
            let blocks = body["blocks"].as_array().expect("blocks");
            assert!(blocks.len() <= 50, "{} blocks", blocks.len());
            for block in blocks {
                let most = if block["type"] == "header" {
                    150
                } else {
                    3_000
                };
                let length = length(&block["text"]["text"]);
                assert!(
                    (1..=most).contains(&length),
                    "{length} characters in {block}"
                );
            }
        }
        EndpointKind::Wecom => {
            let bytes = |value: &Value| value.as_str().map_or(0, str::len);
            assert!(bytes(&body["text"]["content"]) <= 2_048);
            assert!(bytes(&body["markdown"]["content"]) <= 4_096);
        }
        _ => {}
    }
}
