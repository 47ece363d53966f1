//! The shipped plugins in the real sandbox. What they mean by what they answer is tested beside
//! them; here it is that they run at all, on the imports and the bounds there are.

use std::sync::Arc;

use crate::{
    barrier::Barrier,
    catalog::{self, Catalog, Wanted},
    clock::Clock,
    ids::PluginName,
    runtime::{
        Check, Credentials, Enroll, Exports, Fault, Login, Plugin, Remove, Verify,
        testing::{Bench, request},
        types::Step,
    },
    storage::Memory,
};

async fn shipped(bench: &mut Bench, name: &str) -> Plugin {
    let barrier = Barrier::for_test(Arc::new(Memory::default()), Clock::system());
    let catalog = Catalog::open(catalog::shipped(), &barrier).unwrap();
    let found = catalog.find(&PluginName::parse(name).unwrap(), &Wanted::Shipped).unwrap();
    let manifest = &found.component.manifest;
    let config = manifest.config.with_defaults(serde_json::json!({}));
    manifest.check_config(&config).unwrap();
    bench.call.config = config.to_string().into_bytes().into();
    bench.call.grant = Arc::new(manifest.asked(&config));
    bench.call.bounds = manifest.bounds();
    bench.runtime.compile(catalog.bytes(&found).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn kv_keeps_a_secret() {
    let mut bench = Bench::new();
    let kv = shipped(&mut bench, "kv").await;
    assert!(kv.exports().engine);
    kv.call(Check, &bench.call).await.unwrap();
    let created = kv.call(request("create", "apps/db", r#"{"data":{"password":"hunter22"}}"#), &bench.call).await;
    bench.view.commit(created.unwrap().writes).await.unwrap();
    let read = kv.call(request("read", "apps/db", ""), &bench.call).await.unwrap();
    assert_eq!(read.value.object()["data"]["password"], "hunter22");
    let listed = kv.call(request("list", "", "{}"), &bench.call).await.unwrap();
    assert!(String::from_utf8_lossy(&listed.value.body).contains("apps"));
    assert!(
        matches!(kv.call(request("read", "nothing", ""), &bench.call).await, Err(Fault::Refused(error)) if error.code == "not-found")
    );
}

#[tokio::test]
async fn password_proves_whom_it_has_enrolled_and_nobody_else() {
    let mut bench = Bench::new();
    let password = shipped(&mut bench, "password").await;
    assert_eq!(password.exports(), Exports { auth: true, credentials: true, ..password.exports() });
    password.call(Check, &bench.call).await.unwrap();
    let (subject, credential) = ("0123456789abcdef01234567".to_owned(), br#"{"password":"correct horse battery"}"#);
    let enroll = Enroll { subject: subject.clone(), id: None, credential: credential.to_vec().into() };
    let enrolled = password.call(enroll, &bench.call).await.unwrap();
    bench.view.commit(enrolled.writes).await.unwrap();

    let verify = |text: &[u8]| Verify { subject: subject.clone(), credential: text.to_vec().into() };
    assert!(password.call(verify(credential), &bench.call).await.unwrap().value);
    assert!(!password.call(verify(br#"{"password":"wrong horse battery"}"#), &bench.call).await.unwrap().value);

    bench.call.facts.login_user = Some(subject.clone());
    let login = |text: &str| Login { credentials: text.as_bytes().to_vec().into() };
    let good = login(r#"{"username":"ada","password":"correct horse battery"}"#);
    match password.call(good, &bench.call).await.unwrap().value {
        Step::Identity(identity) => assert_eq!(identity.subject, subject),
        Step::Challenge(_) => panic!("it asks back"),
    }
    let bad = login(r#"{"username":"ada","password":"wrong"}"#);
    assert!(matches!(password.call(bad, &bench.call).await, Err(Fault::Refused(_))));
    bench.call.facts.login_user = None;
    let nobody = login(r#"{"username":"eve","password":"correct horse battery"}"#);
    assert!(matches!(password.call(nobody, &bench.call).await, Err(Fault::Refused(_))));

    let listed = password.call(Credentials { subject: subject.clone() }, &bench.call).await.unwrap();
    assert!(listed.value.starts_with(b"["));
    let removed = password.call(Remove { subject: subject.clone(), id: None }, &bench.call).await.unwrap();
    bench.view.commit(removed.writes).await.unwrap();
    assert!(!password.call(verify(credential), &bench.call).await.unwrap().value);
}

#[tokio::test]
async fn transit_encrypts_and_signs_with_keys_that_it_never_holds() {
    let mut bench = Bench::new();
    let transit = shipped(&mut bench, "transit").await;
    transit.call(Check, &bench.call).await.unwrap();
    for (path, algorithm, verb, body) in [
        ("a", "aes256-gcm", "encrypt", r#"{"plaintext":"AAAA"}"#),
        ("b", "aes256-gcm-siv", "encrypt", r#"{"plaintext":"AAAA","context":"AAAA"}"#),
        ("c", "chacha20-poly1305", "datakey", "{}"),
        ("d", "hmac-sha256", "hmac", r#"{"input":"AAAA"}"#),
        ("e", "ed25519", "sign", r#"{"input":"AAAA"}"#),
        ("f", "ecdsa-p256", "sign", r#"{"input":"AAAA"}"#),
    ] {
        let data = format!(r#"{{"data":{{"algorithm":"{algorithm}"}}}}"#);
        let created = transit.call(request("create", path, &data), &bench.call).await.unwrap();
        bench.view.commit(created.writes).await.unwrap();
        let rotated = transit.call(request("rotate", path, "{}"), &bench.call).await.unwrap();
        bench.view.commit(rotated.writes).await.unwrap();
        let made = transit.call(request(verb, path, body), &bench.call).await.unwrap();
        let object = made.value.object();
        assert!(
            object.values().any(|value| value.as_str().is_some_and(|text| text.starts_with("coffer:v2:"))),
            "{object:?}"
        );
    }
    let dump = bench.memory.dump();
    assert!(dump.iter().any(|(key, _)| key.starts_with("key/")), "keys lie apart from what the plugin stores");
}
