//! The description of everything that is served: OpenAPI 3.1, put together from what stands at each handler.
//!
//! What the layers before the handlers answer (the door, the limits of time and size) is added here once for all calls
//! behind them. Leaves out what hyper answers before a request is one: 400 and 431 for a head that it cannot take.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::reply::Problem;
use super::{api, health, intake};

/// Where the door stands, beside [`RELOAD`].
const GUARDED: &str = "/api/v1/";

/// As Prometheus and Alertmanager call it.
const RELOAD: &str = "/-/reload";

const ONLY_READS: &str = "This token may only read; or there is no `api.token`, and the request does not come from the daemon's own machine.";

const ABOUT: &str = "A daemon that keeps a distributed system healthy by itself, and says why.

Times are RFC 3339 in UTC, durations seconds, shares, scores and confidences 0 to 1 unless a field says otherwise. A field \
that is not required is null or absent where there is nothing to say. Within one version of the path fields are added, \
never changed: ignore what you do not know.

Every answer but those of `/metrics` is JSON; one that is no success is `{\"error\": \"what failed, and what to do\"}`. A \
path that nobody serves is 404, another method 405 with an `Allow` header, a head of more than 64 headers or 16 KiB 431.

Without `api.token` a POST is taken from the daemon's own machine alone; with `api.read_token` each GET under `/api/v1` \
needs a token too. `/health`, `/ready` and `/metrics` are open. Without a token the daemon's own machine reads the API and \
`/metrics` as localhost, by an IP address, or by a name of `api.allowed_hosts`; another `Host` is answered 421. From other \
machines any name will do.";

#[derive(OpenApi)]
#[openapi(
    info(title = "mape-k", description = ABOUT, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    servers((url = "/", description = "Where this description was read: api.port, 8001")),
    components(schemas(Problem)),
    modifiers(&Tokens),
    tags(
        (name = "Probes", description = "For orchestrators and Prometheus; no token."),
        (name = "Present", description = "What the loop sees, and its present state."),
        (name = "Policies", description = "What it proposes, and a person's decision on that."),
        (name = "Kill switch", description = "Stops every action at once, for a while."),
        (name = "Configuration", description = "The configuration in effect, and reloading it."),
        (name = "History", description = "What was seen, done and learned; kept as long as `knowledge` says."),
        (name = "Explanations", description = "Why it did that, or nothing, in sentences."),
        (name = "Alerts", description = "Alertmanager's webhook, on a port of its own."),
        (name = "Description", description = "This."),
    )
)]
struct Whole;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        for (name, about) in [
            ("token", "`api.token`: may read and change."),
            ("read_token", "`api.read_token`: may read."),
            ("webhook_token", "`alertmanager.webhook_token`: may deliver alerts."),
        ] {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about));
            components.add_security_scheme(name, SecurityScheme::Http(bearer.build()));
        }
    }
}

/// The description as a document.
#[must_use]
pub fn document() -> Value {
    let mut document = serde_json::to_value(whole()).unwrap_or_default();
    in_json(&mut document);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        for (name, schema) in schemas {
            // utoipa writes the type of a generic's items out in full.
            if let Some(of) = name.strip_prefix("List_") {
                let of = format!("#/components/schemas/{of}");
                schema["properties"]["items"]["items"] = json!({ "$ref": of });
            }
        }
    }
    flatten(&mut document);
    document
}

/// What holds the fields of another and its own is one object: that is how it is answered.
fn flatten(document: &mut Value) {
    let all = document["components"]["schemas"].clone();
    let mut parts_of_others: Vec<String> = Vec::new();
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    for schema in schemas.values_mut() {
        let Some(parts) = schema["allOf"].as_array().cloned() else { continue };
        let mut whole = json!({ "type": "object", "properties": {}, "required": [] });
        if let Some(text) = schema.get("description") {
            whole["description"] = text.clone();
        }
        for part in parts {
            let name = part["$ref"].as_str().and_then(|to| to.rsplit('/').next());
            parts_of_others.extend(name.map(str::to_owned));
            let part = name.map_or(part.clone(), |name| all[name].clone());
            for (field, is) in part["properties"].as_object().into_iter().flatten() {
                whole["properties"][field] = is.clone();
            }
            if let Some(required) = whole["required"].as_array_mut() {
                required.extend(part["required"].as_array().cloned().unwrap_or_default());
            }
        }
        *schema = whole;
    }
    let text = document.to_string();
    parts_of_others.retain(|name| !text.contains(&format!("/schemas/{name}\"")));
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| !parts_of_others.contains(name));
    }
}

/// Comments stand at Rust's types, and are read here by people who see JSON.
fn in_json(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.replace("`None`", "null");
            }
            map.values_mut().for_each(in_json);
        }
        Value::Array(items) => items.iter_mut().for_each(in_json),
        _ => {}
    }
}

fn whole() -> utoipa::openapi::OpenApi {
    let mut whole = Whole::openapi();
    whole.merge(health::described().into_openapi());
    whole.merge(api::described().into_openapi());
    whole.merge(intake::Described::openapi());
    for (path, item) in &mut whole.paths.paths {
        // Handlers of two modules may have one name, calls may not.
        for (method, operation) in [("get", &mut item.get), ("post", &mut item.post)] {
            if let Some(operation) = operation {
                let name = path
                    .trim_start_matches(GUARDED)
                    .trim_matches(['/', '-'])
                    .replace("{id}", "one");
                operation.operation_id =
                    Some(format!("{method}_{}", name.replace(['/', '.'], "_")));
            }
        }
        if path == RELOAD
            && let Some(operation) = &mut item.post
        {
            guard(operation, &["token"]);
            refuse(operation, "403", ONLY_READS);
        }
        if !path.starts_with(GUARDED) {
            continue;
        }
        if let Some(operation) = &mut item.get {
            guard(operation, &["token", "read_token"]);
            refuse(
                operation,
                "421",
                "Without a token, from the daemon's own machine, by a name that is none of its names (`api.allowed_hosts`).",
            );
            if operation.parameters.is_some() {
                refuse(operation, "400", "A parameter is unknown, or its value is not accepted.");
            }
        }
        if let Some(operation) = &mut item.post {
            guard(operation, &["token"]);
            refuse(operation, "400", "The path or the body is not accepted.");
            refuse(operation, "403", ONLY_READS);
            refuse(
                operation,
                "503",
                "The store failed, or did not answer within 10 s; or the clock of this replica is wrong.",
            );
            refuse(operation, "408", "The body did not arrive within 5 s.");
            refuse(operation, "413", "The body is larger than 16 KiB.");
            refuse(operation, "415", "The header `Content-Type: application/json` is missing.");
        }
    }
    whole
}

/// What the door and the bound on time answer.
fn guard(operation: &mut Operation, tokens: &[&str]) {
    let none = SecurityRequirement::default();
    let each = tokens.iter().map(|name| SecurityRequirement::new::<_, _, &str>(*name, []));
    operation.security = Some(std::iter::once(none).chain(each).collect());
    refuse(operation, "401", "The token is missing, or is none that is accepted here.");
    refuse(
        operation,
        "429",
        "More than `api.rate_limit` requests a second from one address, or too many wrong tokens.",
    );
    refuse(operation, "503", "The store failed, or did not answer within 10 s.");
}

fn refuse(operation: &mut Operation, status: &str, why: &str) {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut answer = ResponseBuilder::new().description(why).content("application/json", body);
    if matches!(status, "429" | "503") {
        let seconds = Object::builder().schema_type(Type::Integer).minimum(Some(1)).build();
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds after which to try again."));
        answer = answer.header("Retry-After", header.build());
    }
    operation.responses.responses.insert(status.to_owned(), answer.build().into());
}

static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// This description, in OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    tag = "Description",
    responses((status = 200, description = "An OpenAPI document.", body = Object))
)]
pub(super) async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}
