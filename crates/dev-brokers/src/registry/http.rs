//! The registry's HTTP interface: paths, parameters and answers as Confluent's has them.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Refusal, Registered, Registry,
    schema::{Language, Reference, Schema},
};

/// The media type of every answer.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// The longest request, in bytes.
const LONGEST: usize = 16 * 1024 * 1024;

type Shared = Arc<Mutex<Registry>>;
type Answer = Result<Json, Refusal>;

/// Serves requests for as long as the runtime lives.
pub(crate) async fn serve(listener: TcpListener) {
    let routes = Router::new()
        .route("/", get(|| async { Json(json!({})) }))
        .route("/subjects", get(subjects))
        .route("/subjects/:subject", post(look_up))
        .route("/subjects/:subject/versions", get(versions).post(register))
        .route("/subjects/:subject/versions/:version", get(version))
        .route(
            "/subjects/:subject/versions/:version/schema",
            get(version_text),
        )
        .route("/schemas/ids/:id", get(by_id))
        .route("/schemas/ids/:id/versions", get(places))
        .route("/schemas/guids/:guid", get(by_guid))
        .route(
            "/schemas/types",
            get(|| async { Json(json!(["JSON", "PROTOBUF", "AVRO"])) }),
        )
        .route(
            "/config",
            get(|| async { Json(json!({ "compatibilityLevel": "NONE" })) }),
        )
        .fallback(|| async { Refusal::http(StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(|| async { Refusal::http(StatusCode::METHOD_NOT_ALLOWED) })
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(Shared::default());
    // It accepts until the runtime ends; an error of one connection is that connection's.
    let _ = axum::serve(listener, routes).await;
}

/// A JSON answer with the registry's media type.
struct Json(Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, MEDIA_TYPE)], self.0.to_string()).into_response()
    }
}

impl Refusal {
    /// A refusal that has no code of its own.
    fn http(status: StatusCode) -> Self {
        Self {
            code: status.as_u16().into(),
            message: format!("HTTP {status}"),
        }
    }
}

impl IntoResponse for Refusal {
    /// The code's first three digits are the status.
    fn into_response(self) -> Response {
        let status = if self.code < 1000 {
            self.code
        } else {
            self.code / 100
        };
        let status = u16::try_from(status)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok());
        let body = json!({ "error_code": self.code, "message": self.message });
        (
            status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Json(body),
        )
            .into_response()
    }
}

/// What `POST` sends to look up and to register.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Submitted {
    schema: String,
    #[serde(default)]
    schema_type: Option<Language>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
    /// Given when schemas are copied from another registry.
    #[serde(default)]
    id: Option<i64>,
}

#[derive(Deserialize)]
struct Options {
    #[serde(default)]
    normalize: bool,
}

impl Submitted {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|error| Refusal {
            code: 400,
            message: format!("the request: {error}"),
        })
    }

    fn check(self, options: &Options) -> Result<Schema, Refusal> {
        let language = self.schema_type.unwrap_or_default();
        let references = self.references.unwrap_or_default();
        Schema::new(language, &self.schema, references, options.normalize)
            .map_err(|why| Refusal::new(42201, format!("Invalid schema: {why}")))
    }
}

/// Nothing that holds the lock can fail half-way, so a poisoned one is as good.
fn locked(registry: &Shared) -> std::sync::MutexGuard<'_, Registry> {
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn subjects(State(registry): State<Shared>) -> Json {
    Json(json!(locked(&registry).subjects()))
}

async fn versions(State(registry): State<Shared>, Path(subject): Path<String>) -> Answer {
    let count = locked(&registry).versions(&subject)?;
    Ok(Json(json!((1..=count).collect::<Vec<_>>())))
}

async fn register(
    State(registry): State<Shared>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    body: Bytes,
) -> Answer {
    let submitted = Submitted::read(&body)?;
    if submitted.id.is_some_and(|id| id > 0) {
        return Err(Refusal::new(
            42205,
            format!("Subject '{subject}' is not in import mode"),
        ));
    }
    let schema = submitted.check(&options)?;
    let mut registry = locked(&registry);
    let registered = registry.register(&subject, schema)?;
    Ok(Json(
        json!({ "id": registered.id, "version": registered.version, "guid": registered.guid }),
    ))
}

async fn look_up(
    State(registry): State<Shared>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    body: Bytes,
) -> Answer {
    let submitted = Submitted::read(&body)?;
    let registry = locked(&registry);
    // An unknown subject is the first thing to tell, whatever the schema.
    registry.versions(&subject)?;
    let registered = registry.look_up(&subject, &submitted.check(&options)?)?;
    Ok(described(&registered))
}

async fn version(
    State(registry): State<Shared>,
    Path((subject, version)): Path<(String, String)>,
) -> Answer {
    Ok(described(&locked(&registry).version(&subject, &version)?))
}

async fn version_text(
    State(registry): State<Shared>,
    Path((subject, version)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let text = locked(&registry)
        .version(&subject, &version)?
        .schema
        .text
        .clone();
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

async fn by_id(State(registry): State<Shared>, Path(id): Path<String>) -> Answer {
    let registry = locked(&registry);
    Ok(Json(content(registry.by_id(&id)?)))
}

async fn by_guid(State(registry): State<Shared>, Path(guid): Path<String>) -> Answer {
    let registry = locked(&registry);
    Ok(Json(content(registry.by_guid(&guid)?)))
}

async fn places(State(registry): State<Shared>, Path(id): Path<String>) -> Answer {
    let registry = locked(&registry);
    let places = registry.places(&id)?;
    Ok(Json(
        places
            .into_iter()
            .map(|(subject, version)| json!({ "subject": subject, "version": version }))
            .collect(),
    ))
}

/// A schema at its place.
fn described(registered: &Registered<'_>) -> Json {
    let mut answer = content(registered.schema);
    answer["subject"] = registered.subject.into();
    answer["version"] = registered.version.into();
    answer["id"] = registered.id.into();
    answer["guid"] = registered.guid.into();
    Json(answer)
}

/// A schema by itself. The language and the references are left out where they are the default.
fn content(schema: &Schema) -> Value {
    let mut answer = json!({ "schema": schema.text });
    if schema.language != Language::default() {
        answer["schemaType"] = json!(schema.language);
    }
    if !schema.references.is_empty() {
        answer["references"] = json!(schema.references);
    }
    answer
}
