//! What is not compiled at all.

use crate::runtime::{
    Error,
    testing::{Bench, engine, nested, with_components, with_modules},
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

/// One that has all that it should have.
fn good() -> Vec<u8> {
    engine("", "", "(call $ok)")
}

#[tokio::test]
async fn a_component_of_too_many_instances_memories_or_tables_is_refused_for_that() {
    let said = async |wasm: Vec<u8>| match refusal(wasm).await {
        Error::Invalid(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(said(with_modules(good(), "(module)", 64)).await.contains("instances"));
    assert!(said(with_components(good(), &nested(6, 2), 1)).await.contains("instances"));
    assert!(said(with_modules(good(), "(module (memory 1))", 4)).await.contains("memor"));
    assert!(said(with_modules(good(), "(module (table 1 funcref))", 9)).await.contains("tables"));
    assert!(said(with_modules(good(), "(module (table 1 funcref) (table 1 funcref))", 5)).await.contains("tables"));
}

#[tokio::test]
async fn a_component_that_is_only_deep_is_like_any_other() {
    let bench = Bench::new();
    for wasm in [with_components(good(), &nested(50, 1), 1), with_modules(good(), "(module (memory 1))", 3)] {
        assert_eq!(&bench.run_wasm(wasm).await.unwrap().value.body[..], br#"{"ok":true}"#);
    }
}

#[tokio::test]
async fn what_this_very_engine_has_compiled_is_not_taken_from_anybody() {
    let bench = Bench::new();
    let compiled = bench.runtime.0.engine.precompile_component(&good()).unwrap();
    assert!(compiled.starts_with(b"\x7fELF"));
    let refused = bench.runtime.compile(compiled.into()).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
}
