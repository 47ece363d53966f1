//! What is not compiled at all.

use crate::runtime::{
    Error,
    testing::{Bench, engine},
};

async fn refusal(wasm: Vec<u8>) -> Error {
    Bench::new().runtime.compile(wasm.into()).await.unwrap_err()
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {text})")).unwrap()
}

#[tokio::test]
async fn a_component_that_exports_too_little_is_refused() {
    assert!(matches!(refusal(component("")).await, Error::MissingExport("plugin")));
    let plugin_alone = component(r#"(instance $i) (export "coffer:plugin/plugin@1.0.0" (instance $i))"#);
    assert!(matches!(refusal(plugin_alone).await, Error::MissingExport("engine or auth")));
}

#[tokio::test]
async fn an_import_that_is_not_offered_is_refused_by_name() {
    let names = [
        "wasi:sockets/tcp@0.2.6",
        "wasi:filesystem/types@0.2.6",
        "wasi:http/outgoing-handler@0.2.6",
        "coffer:plugin/storage@2.0.0",
        "coffer:plugin/root@1.0.0",
        "wasi:cli/environment@0.3.0",
        "somebody:else/thing",
    ];
    for name in names {
        let wasm = component(&format!(r#"(import "{name}" (instance))"#));
        assert!(matches!(refusal(wasm).await, Error::ForbiddenImport(named) if named == name), "{name}");
    }
}

#[tokio::test]
async fn what_is_not_a_component_is_refused() {
    for wasm in [Vec::new(), b"\x7fELF".to_vec(), wat::parse_str("(module)").unwrap()] {
        assert!(matches!(refusal(wasm).await, Error::Invalid(_)));
    }
    assert!(matches!(refusal(vec![0; 33 * 1024 * 1024]).await, Error::TooLarge));
}

#[tokio::test]
async fn features_that_are_off_are_refused() {
    let modules = [
        "(memory 1 1 shared)",
        "(memory i64 1)",
        "(memory 1) (memory 1)",
        "(type (struct))",
        "(tag)",
        "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))",
        // More than any plugin may have: 257 MiB.
        "(memory 4112)",
        "(table 30000 funcref)",
    ];
    for module in modules {
        let wasm = component(&format!("(core module {module})"));
        assert!(matches!(refusal(wasm).await, Error::Invalid(_)), "{module}");
    }
}

#[tokio::test]
async fn a_component_of_too_many_instances_is_refused() {
    let instances = "(core instance (instantiate $m))".repeat(40);
    let wasm = component(&format!("(core module $m (memory 1)) {instances}"));
    assert!(matches!(refusal(wasm).await, Error::Invalid(_) | Error::MissingExport(_)));
    assert!(Bench::new().runtime.compile(engine("", "", "(call $ok)").into()).await.is_ok());
}
