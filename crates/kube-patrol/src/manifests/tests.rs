use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use patrol_core::facts::{Fact, ObjectKey};
use patrol_core::kind::Kind;

use super::*;

fn read(text: &str) -> FileContent {
    read_bytes(&"x.yaml".into(), text.as_bytes().to_vec(), false)
}

fn read_json(text: &str) -> FileContent {
    read_bytes(&"x.json".into(), text.as_bytes().to_vec(), true)
}

fn reasons(content: &FileContent) -> Vec<String> {
    let entries = &content.coverage.not_inspected;
    entries.iter().map(|e| e.to_string()).collect()
}

fn names(content: &FileContent) -> Vec<String> {
    content
        .objects
        .iter()
        .map(|o| match o.identity() {
            Some((kind, key)) => format!("{kind} {key} :{}", o.source.line),
            None => format!("{} :{}", o.kind, o.source.line),
        })
        .collect()
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: []}\n";

fn pod(name: &str) -> String {
    POD.replace("{name: p}", &format!("{{name: {name}}}"))
}

#[test]
fn a_broken_document_hides_no_other() {
    let text = format!(
        "{}---\nkind: Pod\nspec: [secret\n---\n{}",
        pod("a"),
        pod("b")
    );
    let content = read(&text);
    assert_eq!(names(&content), ["Pod default/a :1", "Pod default/b :9"]);
    let [entry] = content.coverage.not_inspected.as_slice() else {
        panic!("{:?}", content.coverage)
    };
    assert_eq!((entry.document, entry.line), (Some(1), Some(7)));
    assert_eq!(entry.may_hold, MayHold::Kinds([Kind::Pod].into()));
    assert!(!entry.reason.contains("secret"), "{entry}");
}

#[test]
fn defaults_are_filled_in_as_an_api_server_does() {
    let content = read(&format!(
        "{POD}---\napiVersion: v1\nkind: Node\nmetadata: {{name: node, namespace: x}}\n---\n\
         apiVersion: batch/v1\nkind: Job\nmetadata: {{generateName: job-}}\nspec: {{template: {{spec: {{}}}}}}\n"
    ));
    assert_eq!(
        names(&content),
        ["Pod default/p :1", "Node node :6", "Job default/job- :10"]
    );
    let Decoded::Fact(seen) = &content.objects[0].decoded else {
        panic!()
    };
    let Fact::Pod(pod) = &seen.fact else { panic!() };
    let expected = patrol_core::fingerprint::derived_uid("Pod", "default", "p");
    assert_eq!(pod.uid.to_string(), expected);
}

#[test]
fn a_given_uid_and_namespace_stay() {
    let content = read(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop, uid: u1}\nspec: {containers: []}",
    );
    let object = &content.objects[0];
    assert_eq!(object.identity().unwrap().1, &ObjectKey::new("shop", "p"));
    assert_eq!(object.value["metadata"]["uid"], "u1");
}

#[test]
fn lists_are_taken_apart_with_the_lines_of_their_items() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n\
                - apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n\
                - apiVersion: v1\n  kind: PodList\n  items:\n  - metadata: {name: c}\n";
    let content = read(text);
    assert_eq!(
        names(&content),
        ["Pod default/a :4", "Pod default/b :7", "Pod default/c :11"]
    );
    assert_eq!(content.coverage.kinds["Pod"], 3);
    assert!(content.coverage.is_complete());
}

#[test]
fn json_lists_streams_and_arrays_are_read() {
    let list = "{\n \"apiVersion\": \"v1\", \"kind\": \"PodList\", \"items\": [\n  {\"metadata\": {\"name\": \"a\"}},\n  {\"metadata\": {\"name\": \"b\"}}\n]}\n{\"apiVersion\": \"v1\",\n\"kind\": \"Pod\", \"metadata\": {\"name\": \"c\"}}";
    for content in [read(list), read_json(list)] {
        assert_eq!(
            names(&content),
            ["Pod default/a :3", "Pod default/b :4", "Pod default/c :6"]
        );
    }
    let array = format!("[{},\n{}]", json_pod("a"), json_pod("b"));
    assert_eq!(
        names(&read_json(&array)),
        ["Pod default/a :1", "Pod default/b :2"]
    );
    let patch = read_json("[{\"op\": \"remove\", \"path\": \"/a\"}]");
    assert_eq!(patch.coverage.kinds["(none)"], 1);
    assert!(patch.coverage.is_complete());
}

fn json_pod(name: &str) -> String {
    format!("{{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {{\"name\": \"{name}\"}}}}")
}

#[test]
fn json_in_a_yaml_file_may_be_followed_by_yaml() {
    let content = read(&format!(
        "{}\n---\n\t{}\n---\n{POD}",
        json_pod("a"),
        json_pod("b")
    ));
    assert_eq!(
        names(&content),
        ["Pod default/a :1", "Pod default/b :3", "Pod default/p :5"]
    );
}

#[test]
fn files_that_are_no_manifests_are_counted_and_no_error() {
    let content = read(
        "replicas: 3\nimage: x\n---\napiVersion: v2\nname: chart\n---\n- op: add\n---\njust text\n---\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a]\n",
    );
    assert_eq!(content.coverage.kinds["(none)"], 4);
    assert_eq!(content.coverage.kinds["Kustomization"], 1);
    assert!(content.coverage.is_complete());
    assert_eq!(names(&content), ["Kustomization :11"]);
}

#[test]
fn a_known_kind_without_api_version_is_a_slip_and_said() {
    let content = read("kind: Pod\nmetadata: {name: p}\n");
    assert_eq!(
        reasons(&content),
        ["x.yaml:1: Pod without apiVersion: add it"]
    );
}

#[test]
fn an_object_that_cannot_be_decoded_is_named_and_its_value_is_not() {
    let content = read(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostNetwork: hunter2, containers: []}",
    );
    let Decoded::Broken(error) = &content.objects[0].decoded else {
        panic!()
    };
    assert_eq!(error.key, Some(ObjectKey::new("default", "p")));
    assert_eq!(content.coverage.not_inspected.len(), 1);
    assert!(!reasons(&content)[0].contains("hunter2"));
}

#[test]
fn empty_files_hold_nothing_and_say_so() {
    for text in [
        "",
        "\n\n",
        "# only a comment\n",
        "---\n---\n",
        "\u{feff}",
        "%YAML 1.2\n---\n",
    ] {
        let content = read(text);
        assert!(content.is_empty, "{text:?}");
        assert!(content.coverage.is_complete(), "{text:?}");
    }
    assert!(!read("a: 1").is_empty);
    assert!(!read("a: [").is_empty);
}

#[test]
fn encodings_and_line_ends_of_every_system_are_read() {
    let crlf = POD.replace('\n', "\r\n");
    let twice = format!("{crlf}---\r\n{crlf}");
    assert_eq!(
        names(&read(&format!("\u{feff}{twice}"))),
        ["Pod default/p :1", "Pod default/p :6"]
    );
    let joined = format!("{POD}---\n\u{feff}{POD}");
    assert_eq!(names(&read(&joined)).len(), 2);
    for little in [true, false] {
        let mut bytes = Vec::new();
        for unit in format!("\u{feff}{POD}").encode_utf16() {
            bytes.extend(if little {
                unit.to_le_bytes()
            } else {
                unit.to_be_bytes()
            });
        }
        let content = read_bytes(&"x.yaml".into(), bytes, false);
        assert_eq!(names(&content), ["Pod default/p :1"]);
    }
    let latin = read_bytes(&"x.yaml".into(), b"a: \xe9".to_vec(), false);
    assert_eq!(
        reasons(&latin),
        ["x.yaml: is not UTF-8 text: save it as UTF-8"]
    );
}

#[test]
fn each_way_of_being_broken_has_its_sentence() {
    for (text, reason) in [
        (
            "a:\n\tb: 1\n",
            "x.yaml:2: is no valid YAML (tabs disallowed",
        ),
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: gives a key twice"),
        ("a: {{ .Values.x }}\n", "x.yaml:1: is a template"),
        ("# c\n\n{{- if x }}\na: 1\n", "x.yaml:3: is a template"),
        ("a: *nowhere\n", "x.yaml:1: uses an alias whose anchor"),
        (
            "a: \"secret\n",
            "x.yaml:1: is no valid YAML (unclosed quote): correct it",
        ),
    ] {
        let found = reasons(&read(text));
        assert!(found[0].starts_with(reason), "{text:?}: {found:?}");
        assert!(!found[0].contains("secret") && !found[0].contains("nowhere"));
    }
    for (text, reason) in [
        (
            "{\"a\": 1,}",
            "x.json:1: is no valid JSON (trailing comma): correct it",
        ),
        ("{\"a\": ", "x.json:1: ends in the middle: complete it"),
        (
            "{\"a\": 1}\n\n{secret: 2}",
            "x.json:3: is no valid JSON (key must be a string): correct it",
        ),
    ] {
        assert_eq!(reasons(&read_json(text)), [reason]);
    }
}

#[test]
fn what_a_broken_text_may_hold_is_read_from_its_words() {
    let hidden = |text: &str| read(text).coverage.not_inspected[0].may_hold.clone();
    assert_eq!(
        hidden("kind: Deployment\n---x: [\n  roleRef: {kind: \"Pod\"\n"),
        MayHold::Kinds([Kind::Deployment, Kind::Pod].into())
    );
    assert_eq!(hidden("kind: ConfigMap\nx: ["), MayHold::Kinds([].into()));
    assert_eq!(hidden("kind: {{ .kind }}\n"), MayHold::Anything);
    assert_eq!(hidden("kind: List\nitems: ["), MayHold::Anything);
    assert_eq!(hidden("x: ["), MayHold::Anything);
}

/// Row 92 of the fault catalogue: refused by budget. The deadline is loose, because it only
/// has to tell a budget from none at all.
fn refused(text: &str) {
    let start = Instant::now();
    let content = read(text);
    assert!(content.objects.is_empty());
    let found = reasons(&content);
    assert_eq!(found.len(), 1, "{found:?}");
    let said = ["goes beyond a limit", "repeats too much by aliases"];
    assert!(said.iter().any(|said| found[0].contains(said)), "{found:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn alias_bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..20 {
        let uses = vec![format!("*a{}", i - 1); 9].join(", ");
        bomb += &format!("a{i}: &a{i} [{uses}]\n");
    }
    refused(&bomb);
    // Few aliases, each of a megabyte.
    let text = format!(
        "a: &a {}\nl:\n{}",
        "x".repeat(1 << 20),
        "- *a\n".repeat(2000)
    );
    refused(&text);
}

#[test]
fn deep_nesting_is_refused_in_every_form() {
    refused(&"[".repeat(10_000));
    refused(&"- ".repeat(10_000));
    refused(&"? ".repeat(10_000));
    let deep: String = (0..2000)
        .map(|i| format!("{}a:\n", " ".repeat(i)))
        .collect();
    refused(&deep);
    let json = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(
        reasons(&read_json(&json)),
        ["x.json:1: goes beyond a limit (nesting): flatten it"]
    );
}

#[test]
fn nesting_within_the_limit_is_read() {
    let deep = format!(
        "apiVersion: x/v1\nkind: X\na: {}{}",
        "[".repeat(120),
        "]".repeat(120)
    );
    assert_eq!(read(&deep).objects.len(), 1);
}

#[test]
fn a_dump_of_ten_megabytes_is_read() {
    let mut text = String::from("apiVersion: v1\nkind: List\nitems:\n");
    let padding = "x".repeat(3000);
    let mut count = 0;
    while text.len() < 10 << 20 {
        text += &format!(
            "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: p{count}\n    annotations: {{note: {padding}}}\n  spec:\n    containers:\n    - {{name: c, image: r/i:1}}\n"
        );
        count += 1;
    }
    let content = read(&text);
    assert_eq!(content.objects.len(), count);
    assert_eq!(content.objects[1].source.line, 12);
}

#[test]
fn a_file_beyond_the_limit_is_refused_without_being_read_whole() {
    let content = read_from(&"big.yaml".into(), std::io::repeat(b'a'), false);
    assert_eq!(
        reasons(&content),
        ["big.yaml: is larger than 64 MB: split it"]
    );
}

// ------------------------------------------------------------------ folders

fn load_dir(dir: &Path) -> Loaded {
    load(&[Input::Path(dir.to_path_buf())], &[], |_, _| {})
}

fn in_dir(dir: &Path, loaded: &Loaded) -> Vec<String> {
    let prefix = format!("{}/", dir.display());
    loaded
        .objects
        .iter()
        .map(|o| o.source.file.replace(&prefix, ""))
        .collect()
}

#[test]
fn folders_are_walked_in_order_and_hidden_entries_skipped() {
    let dir = tempfile::tempdir().unwrap();
    for path in [
        "b.yaml",
        "a/z.yml",
        "a-b.yaml",
        "c.JSON",
        ".git/x.yaml",
        ".hidden.yaml",
        "note.txt",
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = if path.ends_with("c.JSON") {
            json_pod("p")
        } else {
            POD.to_owned()
        };
        fs::write(path, text).unwrap();
    }
    let loaded = load_dir(dir.path());
    assert_eq!(
        in_dir(dir.path(), &loaded),
        ["a/z.yml", "a-b.yaml", "b.yaml", "c.JSON"]
    );
    assert_eq!(repeated(&loaded.objects).len(), 3);
    // A path that is given is read whatever it is called.
    let given = load(&[Input::Path(dir.path().join(".git"))], &[], |_, _| {});
    assert_eq!(given.objects.len(), 1);
    // The state folder is no input.
    let skipped = load(
        &[Input::Path(dir.path().into())],
        &[dir.path().join("a")],
        |_, _| {},
    );
    assert_eq!(
        in_dir(dir.path(), &skipped),
        ["a-b.yaml", "b.yaml", "c.JSON"]
    );
}

#[test]
fn loops_end_and_each_file_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("p.yaml"), POD).unwrap();
    symlink(dir.path(), inner.join("up")).unwrap();
    symlink(&inner, dir.path().join("again")).unwrap();
    symlink(inner.join("p.yaml"), dir.path().join("link.yaml")).unwrap();
    let loaded = load_dir(dir.path());
    assert_eq!(in_dir(dir.path(), &loaded), ["again/p.yaml"]);
    assert!(loaded.coverage.is_complete());
}

#[test]
fn what_is_no_file_is_reported_and_never_opened() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("pipe.yaml");
    let status = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(status.success());
    symlink("nowhere", dir.path().join("dangling.yaml")).unwrap();
    symlink("self.yaml", dir.path().join("self.yaml")).unwrap();
    symlink("/dev/zero", dir.path().join("zero.json")).unwrap();
    symlink("nowhere", dir.path().join("folder-or-file")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("sock.yml")).unwrap();
    let loaded = load_dir(dir.path());
    let found: Vec<_> = loaded
        .coverage
        .not_inspected
        .iter()
        .map(|e| {
            let file = Path::new(e.file.as_ref())
                .file_name()
                .unwrap()
                .to_str()
                .unwrap();
            format!(
                "{file} {}",
                e.reason.split([':', '(']).next().unwrap().trim()
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "dangling.yaml is a link to something that does not exist",
            "folder-or-file is a link to something that does not exist",
            "pipe.yaml is no regular file",
            "self.yaml is a link that leads nowhere",
            "sock.yml is no regular file",
            "zero.json is no regular file",
        ]
    );
}

#[test]
fn an_input_that_is_not_there_is_not_inspected() {
    let loaded = load_dir(Path::new("/nonexistent/folder"));
    assert_eq!(
        loaded.coverage.not_inspected[0].to_string(),
        "/nonexistent/folder: does not exist: check the path"
    );
}

#[test]
fn coverage_has_the_published_shape() {
    let mut content = read(&format!("{POD}---\na: [\n"));
    content
        .coverage
        .not_inspected
        .push(NotInspected::whole(&"x".into(), "r"));
    let json = serde_json::to_value(&content.coverage).unwrap();
    assert_eq!(json["kinds"], serde_json::json!({"Pod": 1}));
    assert_eq!(
        json["notInspected"][1],
        serde_json::json!({"file": "x", "reason": "r"})
    );
    assert_eq!(json["notInspected"][0]["document"], 1);
}

proptest::proptest! {
    /// No text whatever makes the loader panic or lose account of itself.
    #[test]
    fn any_text_is_taken(text in "[-a{}\\[\\]:&*#'\"|>%?!,.\n\t\r \u{feff}\u{0}支]{0,200}") {
        for json in [false, true] {
            let content = read_bytes(&"x".into(), text.clone().into_bytes(), json);
            proptest::prop_assert!(content.objects.is_empty());
        }
    }
}
