use crate::runtime::testing::{Bench, GET, PUT, engine, request};
use crate::{
    barrier::Writes,
    runtime::{Check, Exports, Fault, Login, bindings::coffer::plugin::storage},
};

/// What `get` of the path found: the value, or `denied` if there is nothing or no such key.
fn reader() -> Vec<u8> {
    engine(
        GET,
        "",
        "(call $get (local.get $path) (local.get $path-len) (i32.const 4096))
         (if (i32.load8_u (i32.const 4096)) (then (return (call $refuse))))
         (if (i32.eqz (i32.load8_u offset=8 (i32.const 4096))) (then (return (call $refuse))))
         (call $answer (i32.load offset=16 (i32.const 4096)) (i32.load offset=20 (i32.const 4096)))",
    )
}

/// Puts the body at the path, reads it again and answers it.
fn writer() -> Vec<u8> {
    let imports = format!("{PUT} {GET}");
    engine(
        &imports,
        "",
        "(call $put (local.get $path) (local.get $path-len) (local.get $body) (local.get $body-len)
            (i32.const 0) (i64.const 0) (i32.const 4096))
         (if (i32.load8_u (i32.const 4096)) (then (return (call $refuse))))
         (call $get (local.get $path) (local.get $path-len) (i32.const 4096))
         (call $answer (i32.load offset=16 (i32.const 4096)) (i32.load offset=20 (i32.const 4096)))",
    )
}

#[tokio::test]
async fn what_a_call_writes_is_stored_when_its_writes_are_committed_and_not_before() {
    let bench = Bench::new();
    let (writer, reader) = (bench.compile(writer()).await, bench.compile(reader()).await);
    let body = r#"{"a":1}"#;
    let outcome = writer.call(request("update", "x", body), &bench.call).await.unwrap();
    assert_eq!(&outcome.value.body[..], body.as_bytes());
    assert!(outcome.may_rerun);
    assert!(matches!(bench.run(&reader, "x").await, Err(Fault::Refused(error)) if error.code == "denied"));
    bench.view.commit(outcome.writes).await.unwrap();
    assert_eq!(&bench.run(&reader, "x").await.unwrap().value.body[..], body.as_bytes());
}

#[tokio::test]
async fn a_component_tells_what_it_exports() {
    let bench = Bench::new();
    let plugin = bench.compile(engine("", "", "(call $ok)")).await;
    assert_eq!(plugin.exports(), Exports { engine: true, ..Exports::default() });
    assert_eq!(plugin.call(Check, &bench.call).await.unwrap().value, Vec::<String>::new());
}

#[tokio::test]
async fn a_failure_says_whether_what_it_had_read_is_still_so() {
    let bench = Bench::new();
    let plugin = bench.compile(reader()).await;
    let failure = plugin.attempt(request("read", "x", ""), &bench.call).await.unwrap_err();
    assert!(!failure.stale && failure.may_rerun && matches!(failure.fault, Fault::Refused(_)));
    let sandbox_sees_it_change = async {
        let mut sandbox = bench.sandbox(&[]);
        assert!(storage::Host::get(&mut sandbox, "x".to_owned()).await.unwrap().is_none());
        let mut writes = Writes::default();
        bench.view.put_bytes(&mut writes, "x", b"{}".to_vec().into(), None);
        bench.view.commit(writes).await.unwrap();
        sandbox.storage.is_stale().await.unwrap()
    };
    assert!(sandbox_sees_it_change.await);
}

#[tokio::test]
async fn two_calls_that_rest_on_the_same_key_do_not_both_commit() {
    let bench = Bench::new();
    // It gets before it puts.
    let body = "(call $get (local.get $path) (local.get $path-len) (i32.const 4096))
        (call $put (local.get $path) (local.get $path-len) (local.get $body) (local.get $body-len)
            (i32.const 0) (i64.const 0) (i32.const 4096)) (call $ok)";
    let plugin = bench.compile(engine(&format!("{PUT} {GET}"), "", body)).await;
    let one = plugin.call(request("update", "x", "1"), &bench.call).await.unwrap();
    let other = plugin.call(request("update", "x", "2"), &bench.call).await.unwrap();
    bench.view.commit(one.writes).await.unwrap();
    assert!(matches!(bench.view.commit(other.writes).await, Err(crate::barrier::Error::Conflict)));
}

#[tokio::test]
async fn what_check_writes_is_dropped_and_an_export_that_is_not_there_is_the_plugins_fault() {
    let bench = Bench::new();
    let plugin = bench.compile(engine("", "", "(call $ok)")).await;
    assert!(plugin.call(Check, &bench.call).await.unwrap().writes.is_empty());
    let login = Login { credentials: b"{}".to_vec().into() };
    assert!(matches!(plugin.call(login, &bench.call).await, Err(Fault::Invalid(_))));
}
