//! The schema registry, over HTTP.

use serde_json::{Value, json};

use super::{Instance, start};

impl Instance {
    /// Status, media type and body of the answer to a GET, or to a POST of a body.
    fn ask(&self, path: &str, body: Option<&Value>) -> (u16, String, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let url = format!("http://{}{path}", self.registry);
        let mut response = match body {
            None => agent.get(url).call(),
            Some(body) => agent
                .post(url)
                .header("content-type", "application/vnd.schemaregistry.v1+json")
                .send(body.to_string()),
        }
        .unwrap();
        let media_type = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let text = response.body_mut().read_to_string().unwrap();
        (
            response.status().as_u16(),
            media_type,
            serde_json::from_str(&text).unwrap(),
        )
    }

    fn get(&self, path: &str) -> Value {
        let (status, media_type, answer) = self.ask(path, None);
        assert_eq!(
            (status, media_type.as_str()),
            (200, "application/vnd.schemaregistry.v1+json")
        );
        answer
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let (status, _, answer) = self.ask(path, Some(body));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Status and error code of a refusal.
    fn refusal(&self, path: &str, body: Option<&Value>) -> (u16, u64) {
        let (status, media_type, answer) = self.ask(path, body);
        assert_eq!(media_type, "application/vnd.schemaregistry.v1+json");
        assert!(answer["message"].is_string(), "{answer}");
        (status, answer["error_code"].as_u64().unwrap())
    }
}

fn schema(text: &str) -> Value {
    json!({ "schemaType": "JSON", "schema": text })
}

#[test]
fn a_schema_is_registered_once_and_found_in_every_way() {
    let registry = start(&[]);
    assert_eq!(registry.get("/subjects"), json!([]));
    let text = r#"{"type":"object","title":"Generator"}"#;
    let registered = registry.post("/subjects/gen%2Fa-value/versions", &schema(text));
    assert_eq!(registered["id"], 1);
    let again = registry.post("/subjects/gen%2Fa-value/versions", &schema(text));
    assert_eq!(again, registered);

    assert_eq!(registry.get("/subjects"), json!(["gen/a-value"]));
    assert_eq!(registry.get("/subjects/gen%2Fa-value/versions"), json!([1]));
    let found = registry.post("/subjects/gen%2Fa-value", &schema(text));
    assert_eq!(
        found,
        json!({
            "subject": "gen/a-value", "version": 1, "id": 1, "guid": registered["guid"],
            "schemaType": "JSON", "schema": text,
        })
    );
    for version in ["1", "latest"] {
        assert_eq!(
            registry.get(&format!("/subjects/gen%2Fa-value/versions/{version}")),
            found
        );
    }
    let content = json!({ "schemaType": "JSON", "schema": text });
    assert_eq!(registry.get("/schemas/ids/1"), content);
    let guid = registered["guid"].as_str().unwrap();
    assert_eq!(registry.get(&format!("/schemas/guids/{guid}")), content);
    assert_eq!(
        registry.get("/subjects/gen%2Fa-value/versions/1/schema"),
        json!({ "type": "object", "title": "Generator" })
    );
}

#[test]
fn normalised_schemas_are_the_same_in_any_order() {
    let registry = start(&[]);
    let one = schema(r#"{"type": "object", "title": "G"}"#);
    let other = schema(r#"{"title":"G","type":"object"}"#);
    let id = |body| registry.post("/subjects/s/versions?normalize=true", body)["id"].clone();
    assert_eq!(id(&one), id(&other));
    assert_eq!(
        registry.post("/subjects/s?normalize=true", &one)["version"],
        1
    );
    assert_eq!(registry.refusal("/subjects/s", Some(&one)), (404, 40403));
}

#[test]
fn refusals_have_the_codes_that_clients_know() {
    let registry = start(&[]);
    registry.post("/subjects/s/versions", &schema("true"));
    let refused = |path| registry.refusal(path, None);
    assert_eq!(refused("/subjects/none/versions"), (404, 40401));
    assert_eq!(refused("/subjects/s/versions/2"), (404, 40402));
    assert_eq!(refused("/subjects/s/versions/two"), (422, 42202));
    assert_eq!(refused("/schemas/ids/9"), (404, 40403));
    assert_eq!(refused("/nowhere"), (404, 404));
    let refused = |path, body: Value| registry.refusal(path, Some(&body));
    assert_eq!(refused("/subjects/none", schema("true")), (404, 40401));
    assert_eq!(refused("/subjects/s", schema("false")), (404, 40403));
    assert_eq!(refused("/subjects/s/versions", schema("{")), (422, 42201));
    assert_eq!(
        refused("/subjects/s/versions", schema(r#"{"type":7}"#)),
        (422, 42201)
    );
    assert_eq!(
        refused("/subjects/s/versions", json!({ "schemaType": "JSON" })),
        (400, 400)
    );
    assert_eq!(refused("/subjects", json!({})), (405, 405));
}
