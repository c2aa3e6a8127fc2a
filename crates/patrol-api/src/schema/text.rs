//! The kinds of short texts in our objects: names, globs, versions, addresses. Each has a bound and, where it has a
//! grammar, a rule with a sentence. Never judges what only a running engine can know (whether a name exists).

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::rules;

/// A text with a grammar, given as a CEL rule.
fn ruled(max: usize, rule: &str, message: &str) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": max,
        "x-kubernetes-validations": rules(&[(rule, message)]),
    })
}

/// A text that matches a pattern.
fn matching(max: usize, pattern: &str, message: &str) -> Schema {
    ruled(max, &format!("self.matches('{pattern}')"), message)
}

/// A list without duplicates.
fn set(max: usize, item: &Schema) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": max,
        "x-kubernetes-list-type": "set",
        "items": item,
    })
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident => $schema:expr;)+) => {
        $($(#[$doc])* pub(crate) fn $name(_: &mut SchemaGenerator) -> Schema { $schema })+
    };
}

fn dns_label(max: usize, what: &str) -> Schema {
    matching(
        max,
        "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
        &format!(
            "must be {what}: lower case letters, digits and '-', beginning and ending with a letter or digit"
        ),
    )
}

fn dns_name() -> Schema {
    matching(
        253,
        "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        "must be the name of an object: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit",
    )
}

fn glob(max: usize, what: &str) -> Schema {
    matching(
        max,
        "^[a-z0-9.*?-]+$",
        &format!(
            "must be a glob of {what}: lower case letters, digits, '-' and '.', with '*' for any text and '?' for one character"
        ),
    )
}

fn image() -> Schema {
    matching(
        256,
        "^([a-z0-9.*?-]+(:[0-9]+)?/)?([a-z0-9._*?-]+/)*[a-z0-9._*?-]+$",
        "must be a glob of an image repository without tag and digest, such as registry.example.com/security/agent*",
    )
}

fn version_text() -> Schema {
    matching(
        64,
        "^v?[0-9]+([.][0-9]+)*([+._-][0-9A-Za-z+._-]*)?$",
        "must be a version such as 1.2.3",
    )
}

/// A text for people, at most `max` characters.
fn prose(max: usize) -> Schema {
    json_schema!({"type": "string", "maxLength": max})
}

texts! {
    /// Name of a requirement.
    requirement_name => dns_label(63, "a name");
    /// Name of a namespace.
    namespace => dns_label(63, "the name of a namespace");
    /// Name of an object.
    object_name => dns_name();
    /// Names of objects.
    object_names => set(32, &dns_name());
    /// Globs of namespace names.
    namespace_globs => set(64, &glob(63, "namespace names"));
    /// Id of a check or a glob of ids.
    check_glob => glob(63, "check ids");
    /// Ids of checks or globs of ids.
    check_globs => set(64, &glob(63, "check ids"));
    /// Ids of checks or globs of ids, at least one.
    some_check_globs => {
        let mut list = set(64, &glob(63, "check ids"));
        list.insert("minItems".to_owned(), json!(1));
        list
    };
    /// Glob of a container name.
    container_glob => glob(63, "container names");
    /// Glob of an object name.
    object_glob => glob(253, "object names");
    /// Globs of image repositories.
    images => set(16, &image());
    /// A version.
    version => version_text();
    /// Image digests.
    digests => set(64, &matching(71, "^sha256:[0-9a-f]{64}$", "must be an image digest: sha256: and 64 hexadecimal digits"));
    /// Labels or annotations with a value.
    markers => set(16, &matching(
        384,
        "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?=[^=]*$",
        "must be a label or annotation with its value, as key=value",
    ));
    /// Five cron fields.
    cron => matching(
        256,
        "^[^ ]+( +[^ ]+){4}$",
        "must have 5 fields: minute, hour, day of month, month and day of week",
    );
    /// IANA time zone.
    time_zone => matching(64, "^[A-Za-z][A-Za-z0-9_+/-]*$", "must be an IANA time zone such as Asia/Shanghai");
    /// Pod Security Standards version.
    pod_security => matching(
        8,
        "^(latest|v1[.]([0-9]|[12][0-9]|3[0-7]))$",
        "must be latest or a version from v1.0 to v1.37",
    );
    /// API group.
    api_group => matching(253, "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$", "must be an API group such as apps, or empty for the core group");
    /// Plural resource name.
    resource => matching(63, "^[a-z][a-z0-9-]*$", "must be the plural name of a resource such as pods");
    /// Admission operation.
    operation => json_schema!({"type": "string", "enum": ["CREATE", "UPDATE", "DELETE", "CONNECT"]});
    /// What happens while a webhook does not answer.
    failure_policy => json_schema!({"type": "string", "enum": ["Fail", "Ignore"]});
    /// Served version of a custom resource.
    api_version => matching(63, "^v[0-9a-z]+$", "must be an API version such as v1 or v1beta1");
    /// Address of a webhook.
    url => prose(2048);
    /// Addresses of the members of a cluster.
    urls => {
        let mut list = set(8, &prose(2048));
        list.insert("minItems".to_owned(), json!(1));
        list
    };
    /// Users or telephones that a provider knows.
    mentions => set(50, &matching(
        128,
        "^[+]?[A-Za-z0-9][A-Za-z0-9_.@-]*$",
        "must be the id of a user or the number of a mobile phone as the provider writes it",
    ));
    /// A word that a robot asks for.
    keyword => {
        let mut text = prose(64);
        text.insert("minLength".to_owned(), json!(1));
        text
    };
    /// Hours and minutes of a day.
    time_of_day => matching(5, "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", "must be a time of day from 00:00 to 24:00, such as 09:30");
    /// Policy and values of `groupBy`.
    group_key => prose(1024);
    /// Subject kinds.
    kind_name => matching(63, "^[A-Z][A-Za-z0-9]*$", "must be a kind such as Deployment");
    /// Globs of object names.
    object_globs => set(64, &glob(253, "object names"));
    /// Why a ticket is waived.
    waiver_reason => {
        let mut text = prose(1024);
        text.insert("minLength".to_owned(), json!(10));
        text
    };
    /// Who answers for something.
    owner => {
        let mut text = prose(253);
        text.insert("minLength".to_owned(), json!(1));
        text
    };
    /// Key in a Secret.
    secret_key => matching(253, "^[A-Za-z0-9._-]+$", "must be a key of a Secret: letters, digits, '-', '_' and '.'");
    /// Name of a header we do not set ourselves.
    header => ruled(
        128,
        "self.matches('^[A-Za-z0-9_-]+$') && !self.lowerAscii().matches('^(host|connection|te|trailer|upgrade|transfer-encoding|content-.*|webhook-.*|ce-.*)$')",
        "must be the name of a header that is not about the connection, the content or the signature",
    );
    /// Addresses or hosts.
    addresses => {
        let mut list = set(64, &ruled(
            253,
            "isCIDR(self) || isIP(self) || self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
            "must be a CIDR block such as 10.0.0.0/8, an IP address or a host name",
        ));
        list.insert("minItems".to_owned(), json!(1));
        list
    };
    /// Parameters of a check.
    parameters => json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 16,
        "additionalProperties": {
            "type": "array",
            "maxItems": 64,
            "x-kubernetes-list-type": "atomic",
            "items": prose(253),
        },
        "x-kubernetes-validations": rules(&[(
            "self.all(key, key.matches('^[a-z][A-Za-z0-9]{0,62}$'))",
            "must have names of letters and digits, beginning with a lower case letter",
        )]),
    });
    /// Who works on a ticket.
    assignee => prose(253);
    /// Name of a user: a service account's is up to 339 characters long, an identity provider's may be longer.
    user_name => {
        let mut text = prose(512);
        text.insert("minLength".to_owned(), json!(1));
        text
    };
    /// Why reminders pause.
    pause_reason => {
        let mut text = prose(1024);
        text.insert("minLength".to_owned(), json!(1));
        text
    };
    /// When reminders start again. The rule is there for what it makes the API server refuse: it takes any list for a time.
    until => json_schema!({
        "type": "string",
        "format": "date-time",
        "x-kubernetes-validations": rules(&[(
            "self > timestamp('2000-01-01T00:00:00Z')",
            "must be a time of this century, such as 2030-12-31T12:00:00Z",
        )]),
    });
    /// Any text that asks for something by changing.
    nonce => prose(64);
    /// A name as Kubernetes allows in any object.
    any_name => prose(253);
    /// A name of a policy or a receiver with its prefix.
    receiver_name => prose(263);
    /// A short identifier.
    identifier => prose(63);
    /// A UID.
    uid => prose(64);
    /// A kind and a name.
    subject_ref => prose(320);
    /// The title of a ticket.
    title => prose(crate::ticket::limits::TITLE);
    /// A sentence or two.
    sentence => prose(crate::ticket::limits::TEXT);
    /// One word.
    word => prose(crate::ticket::limits::REASON);
    /// A few words.
    words => list(crate::ticket::limits::REASONS, crate::ticket::limits::REASON);
    /// JSON pointers.
    pointers => list(crate::ticket::limits::PATHS, crate::ticket::limits::PATH);
    /// Names of affected objects.
    sample => list(crate::ticket::limits::SAMPLE, crate::ticket::limits::SAMPLE_NAME);
    /// Who did something.
    actor => prose(crate::ticket::limits::ACTOR);
    /// Reasons in a coverage row.
    coverage_reasons => list(16, 256);
}

/// A list of texts.
fn list(items: usize, length: usize) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": items,
        "x-kubernetes-list-type": "atomic",
        "items": prose(length),
    })
}
