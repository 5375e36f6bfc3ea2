//! docs/API_REFERENCE.md: written from the description and from answers that a daemon really gave. With `UPDATE=1` the tests
//! write the page, with `UPDATE=examples` the answers; else they check that the page is current.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use super::calls;
use crate::support::tools::root;

const ABOUT: &str = "# API reference

Made from the code by `UPDATE=1 cargo test --test deployment d07_`, and checked to be current by the same without
`UPDATE=1`: change the description at the handler or the type, not here. The same for machines is served at
`GET /api/v1/openapi.json` (OpenAPI 3.1). The examples are answers of a daemon of the tests, taken
anew with `UPDATE=examples`.
";

fn page() -> PathBuf {
    root().join("docs/API_REFERENCE.md")
}

fn examples() -> PathBuf {
    root().join("tests/fixtures/openapi/examples.json")
}

fn updating(what: &str) -> bool {
    std::env::var("UPDATE").is_ok_and(|update| update == what)
}

pub fn keep_examples(examples: &BTreeMap<String, Value>) {
    if updating("examples") {
        let text = serde_json::to_string_pretty(examples).expect("plain data") + "\n";
        std::fs::write(self::examples(), text).expect("the examples are written");
    }
}

pub fn is_current(description: &Value) {
    let text = std::fs::read_to_string(examples()).unwrap_or_else(|_| "{}".to_owned());
    let examples: BTreeMap<String, Value> = serde_json::from_str(&text).expect("examples");
    let made = made(description, &examples);
    if updating("1") {
        std::fs::write(page(), made).expect("the page is written");
        return;
    }
    let there = std::fs::read_to_string(page()).unwrap_or_default();
    assert!(
        there == made,
        "docs/API_REFERENCE.md is not what the code makes: UPDATE=1 cargo test --test deployment d07_"
    );
}

fn made(description: &Value, examples: &BTreeMap<String, Value>) -> String {
    let mut page = format!("{ABOUT}\n{}\n", text(&description["info"]["description"]));
    for tag in description["tags"].as_array().expect("tags") {
        let _ = write!(page, "\n## {}\n\n{}\n", text(&tag["name"]), text(&tag["description"]));
        for (call, operation) in calls(description) {
            if operation["tags"][0] == tag["name"] {
                one(&mut page, &call, operation, examples.get(&call));
            }
        }
    }
    page.push_str("\n## Values\n");
    for (name, schema) in description["components"]["schemas"].as_object().expect("schemas") {
        value(&mut page, name, schema);
    }
    page
}

fn one(page: &mut String, call: &str, operation: &Value, example: Option<&Value>) {
    let _ = write!(page, "\n### {call}\n\n{}\n", text(&operation["summary"]));
    if operation["description"].is_string() {
        let _ = write!(page, "\n{}\n", text(&operation["description"]));
    }
    if let Some(parameters) = operation["parameters"].as_array() {
        page.push_str("\n| parameter | in | is | means |\n|---|---|---|---|\n");
        for p in parameters {
            let (name, place) = (text(&p["name"]), text(&p["in"]));
            let (is, means) = (kind(&p["schema"]), cell(&p["description"]));
            let _ = writeln!(page, "| `{name}` | {place} | {is} | {means} |");
        }
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if body.is_object() {
        let _ = write!(page, "\nBody: {}.\n", kind(body));
    }
    page.push_str("\n| status | body | means |\n|---|---|---|\n");
    for (status, answer) in operation["responses"].as_object().expect("answers") {
        let content = answer["content"].as_object().and_then(|content| content.iter().next());
        let is = content.map_or_else(String::new, |(media, content)| {
            if media == "application/json" { kind(&content["schema"]) } else { media.clone() }
        });
        let _ = writeln!(page, "| {status} | {is} | {} |", cell(&answer["description"]));
    }
    let (method, path) = call.split_once(' ').expect("a method and a path");
    let port = operation["servers"][0]["url"].as_str().unwrap_or("http://localhost:8001");
    let mut curl = format!("{}{path}", port.trim_start_matches("http://")).replace("{id}", "$ID");
    if method == "POST" {
        let sent =
            example.map_or_else(|| "@payload.json".to_owned(), |e| format!("'{}'", e["sent"]));
        curl = format!("-X POST {curl} -H 'Content-Type: application/json' -d {sent}");
    }
    let _ = write!(page, "\n```sh\ncurl {curl}\n```\n");
    if let Some(example) = example {
        let pretty = serde_json::to_string_pretty(&example["answered"]).expect("plain data");
        let _ = write!(page, "\n```json\n{pretty}\n```\n");
    }
}

fn value(page: &mut String, name: &str, schema: &Value) {
    let _ = write!(page, "\n### {name}\n");
    if schema["description"].is_string() {
        let _ = write!(page, "\n{}\n", text(&schema["description"]));
    }
    let variants = schema["oneOf"].as_array();
    if let Some(fields) = schema["properties"].as_object() {
        page.push_str("\n| field | is | means |\n|---|---|---|\n");
        for (field, schema) in fields {
            let _ = writeln!(
                page,
                "| `{field}` | {} | {} |",
                kind(schema),
                cell(&schema["description"])
            );
        }
    } else if let Some(variants) = variants {
        page.push_str("\nOne of:\n\n");
        for variant in variants {
            let means = cell(&variant["description"]);
            let means = if means.is_empty() { means } else { format!(": {means}") };
            let _ = writeln!(page, "- {}{means}", kind(variant));
        }
    } else {
        let _ = write!(page, "\nIs {}.\n", kind(schema));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn cell(value: &Value) -> String {
    text(value).replace('\n', " ").replace('|', "\\|")
}

/// A schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(|v| format!("`{}`", text(v))).collect();
        return values.join(", ");
    }
    if let Some(variants) = schema["oneOf"].as_array() {
        return variants.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(fields) = schema["properties"].as_object() {
        let fields: Vec<String> =
            fields.iter().map(|(name, schema)| format!("`{name}`: {}", kind(schema))).collect();
        return format!("{{{}}}", fields.join("; "));
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::Array(names) => names.iter().map(text).collect(),
        Value::String(name) => vec![name],
        _ => vec!["anything"],
    };
    let mut said = names.join(" or ");
    if let Some(parts) = schema["prefixItems"].as_array() {
        return format!("[{}]", parts.iter().map(kind).collect::<Vec<_>>().join(", "));
    }
    if schema["items"].is_object() {
        let _ = write!(said, " of {}", kind(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        let _ = write!(said, " of {}", kind(&schema["additionalProperties"]));
    }
    if let Some(format) = schema["format"].as_str().filter(|f| ["date-time", "uuid"].contains(f)) {
        let _ = write!(said, " ({format})");
    }
    for (bound, word) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least"),
        ("maxLength", "at most"),
        ("default", "by default"),
    ] {
        // The bounds of 64 bits say nothing to a person.
        let small = |v: &&Value| v.as_f64().is_some_and(|v| v.abs() < 1e18);
        if let Some(value) = schema.get(bound).filter(small) {
            let _ = write!(said, ", {word} {value}");
            said.push_str(if bound.ends_with("Length") { " characters" } else { "" });
        }
    }
    said
}
