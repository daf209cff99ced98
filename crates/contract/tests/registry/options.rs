//! The options that open a registry.

use tapline_contract::args::{AUTH_VARIABLE, RegistryArgs, TOKEN_VARIABLE};
use tapline_pipe::io::stop::Stop;

use tapline_testkit::http::{ScriptedHttp, json};

/// The variable for user and password, and no other.
fn auth(value: &'static str) -> impl Fn(&str) -> Option<String> {
    move |name| (name == AUTH_VARIABLE).then(|| value.to_owned())
}

#[test]
fn the_options_open_a_registry() {
    let script = ScriptedHttp::new([json(200, r#"{"schema":"1"}"#)]);
    let none = RegistryArgs::default();
    assert!(
        none.open(auth("user:geheim"), &Stop::manual().unwrap())
            .unwrap()
            .is_none()
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth");
    std::fs::write(&file, "file:secret\n").unwrap();
    let args = RegistryArgs {
        registry: vec![format!(" {}/", script.address)],
        registry_auth_file: Some(file),
        ..RegistryArgs::default()
    };
    let registry = args
        .open(auth("user:geheim"), &Stop::manual().unwrap())
        .unwrap()
        .unwrap();
    registry.by_id(1).unwrap();
    let request = script.requests()[0].to_ascii_lowercase();
    // The file goes before the variable.
    assert!(
        request.contains("authorization: basic zmlsztpzzwnyzxq=\r\n"),
        "{request}"
    );
}

#[test]
fn a_token_is_sent_as_a_bearers_and_does_not_go_with_a_password() {
    let script = ScriptedHttp::new([
        json(200, r#"{"schema":"1"}"#),
        json(200, r#"{"schema":"1"}"#),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "fromfile\n").unwrap();
    let from_variable = RegistryArgs {
        registry: vec![script.address.clone()],
        ..RegistryArgs::default()
    };
    let from_file = RegistryArgs {
        registry_token_file: Some(file),
        ..from_variable.clone()
    };
    let token = |name: &str| (name == TOKEN_VARIABLE).then(|| "fromvariable".to_owned());
    for args in [&from_variable, &from_file] {
        args.open(token, &Stop::manual().unwrap())
            .unwrap()
            .unwrap()
            .by_id(1)
            .unwrap();
    }
    let requests = script.requests();
    assert!(requests[0].contains("Bearer fromvariable\r\n"));
    assert!(requests[1].contains("Bearer fromfile\r\n"));
    let error = from_variable
        .open(|_| Some("a:b".to_owned()), &Stop::manual().unwrap())
        .unwrap_err();
    assert!(error.to_string().contains("are both set"), "{error}");
}

#[test]
fn settings_that_cannot_be_are_told_before_anything_is_sent() {
    let args = |registry: &str| RegistryArgs {
        registry: vec![registry.to_owned()],
        ..RegistryArgs::default()
    };
    let told = |args: &RegistryArgs, value: &'static str| {
        let error = args
            .open(auth(value), &Stop::manual().unwrap())
            .unwrap_err();
        error.to_string()
    };
    let error = told(&args("http://user:geheim@registry"), "");
    assert!(
        !error.contains("geheim") && error.contains("SCHEMA_REGISTRY_AUTH"),
        "{error}"
    );
    assert_eq!(
        told(&args("http://registry"), "geheim"),
        "SCHEMA_REGISTRY_AUTH: schema registry credentials: they must be user:password"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let with_file = RegistryArgs {
        registry_ca_file: Some(file.clone()),
        ..args("https://registry")
    };
    assert!(told(&with_file, "").contains("No such file"));
    std::fs::write(&file, "no certificate").unwrap();
    assert!(told(&with_file, "").ends_with("ca.pem: no certificate in it (PEM)"));
}
