use std::sync::Arc;

use wasmtime::component::Resource;

use super::{
    super::{
        super::{Argon2Cost, Dearest, Fault, Grant, sandbox::Sandbox, testing::Bench},
        Key,
        wit::crypto::{Host, HostKey},
    },
    halted, told,
};

fn bench() -> Bench {
    let mut bench = Bench::new();
    let names = ["password-hash", "aes256-gcm", "aes256-gcm-siv", "chacha20-poly1305", "hmac-sha256"];
    let pairs = ["ed25519", "ecdsa-p256", "rsa-2048", "rsa-3072", "rsa-4096"];
    let crypto = names.iter().chain(&pairs).map(|name| (*name).to_owned()).collect();
    bench.call.grant = Arc::new(Grant { crypto, ..Grant::default() });
    bench
}

/// Handles are given away with each use; the guest's stays.
fn again(key: &Resource<Key>) -> Resource<Key> {
    Resource::new_borrow(key.rep())
}

#[tokio::test]
async fn a_password_is_verified_and_nobody_elses() {
    let bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    let phc = sandbox.password_hash("hunter22".into()).await.unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
    assert!(sandbox.password_verify("hunter22".into(), Some(phc.clone())).await.unwrap());
    assert!(!sandbox.password_verify("hunter23".into(), Some(phc.clone())).await.unwrap());
    assert!(!sandbox.password_verify("hunter22".into(), None).await.unwrap());
    assert!(!sandbox.password_outdated(phc.clone()).unwrap());
    sandbox.call.passwords = Argon2Cost { memory_kib: 128, passes: 1, lanes: 1 }.into();
    assert!(sandbox.password_outdated(phc.clone()).unwrap());
    assert!(sandbox.password_verify("hunter22".into(), Some(phc)).await.unwrap());
    assert!(sandbox.password_outdated("rubbish".into()).unwrap());
}

#[tokio::test]
async fn a_hash_that_would_cost_too_much_is_not_computed() {
    let bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    let good = sandbox.password_hash("x".into()).await.unwrap();
    let dear = [
        good.replace("m=64", "m=4000000"),
        good.replace("t=1", "t=99999"),
        good.replace("p=1", "p=64"),
        // Each within what an operator could set, and dearer than anything that was.
        good.replace("m=64,t=1", "m=262144,t=1"),
        good.replace("m=64,t=1", "m=65536,t=4"),
        good.replace("m=64,t=1", "m=4096,t=49"),
        good.replace("argon2id", "argon2i"),
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ".to_owned(),
        "$2b$12$abcdefghijklmnopqrstuv".to_owned(),
        String::new(),
    ];
    for phc in dear {
        assert_eq!(told(sandbox.password_verify("x".into(), Some(phc.clone())).await), "invalid", "{phc}");
    }
    assert_eq!(told(sandbox.password_hash("p".repeat(5000)).await), "too-large");
    // One that was made before the rules became milder is still somebody's.
    let dear = good.replace("m=64,t=1", "m=65600,t=1");
    assert_eq!(told(sandbox.password_verify("x".into(), Some(dear.clone())).await), "invalid");
    sandbox.call.passwords.dearest = Dearest::default().or(65_600, 1);
    assert!(!sandbox.password_verify("x".into(), Some(dear)).await.unwrap());
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let bench = Bench::new();
    let mut sandbox = bench.sandbox(&[]);
    assert_eq!(told(sandbox.password_hash("x".into()).await), "denied");
    assert_eq!(told(sandbox.password_verify("x".into(), None).await), "denied");
    assert_eq!(told(sandbox.create_key("k".into(), "ed25519".into()).await), "denied");
    assert_eq!(told(sandbox.create_key("k".into(), "rot13".into()).await), "unsupported");
}

async fn key(sandbox: &mut Sandbox, algorithm: &str) -> Resource<Key> {
    sandbox.create_key(algorithm.into(), algorithm.into()).await.unwrap()
}

#[tokio::test]
async fn what_a_key_encrypts_it_decrypts_and_nothing_else() {
    let bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    for algorithm in ["aes256-gcm", "chacha20-poly1305"] {
        let key = key(&mut sandbox, algorithm).await;
        let sealed = sandbox.encrypt(again(&key), b"secret".to_vec(), b"aad".to_vec()).unwrap();
        assert_ne!(sealed, sandbox.encrypt(again(&key), b"secret".to_vec(), b"aad".to_vec()).unwrap());
        assert_eq!(sandbox.decrypt(again(&key), sealed.clone(), b"aad".to_vec()).unwrap(), b"secret");
        let mut altered = sealed.clone();
        altered[20] ^= 1;
        for (bad, aad) in [(altered, "aad"), (sealed.clone(), "dad"), (sealed[..8].to_vec(), "aad"), (vec![], "")] {
            assert_eq!(told(sandbox.decrypt(again(&key), bad, aad.as_bytes().to_vec())), "invalid");
        }
        assert_eq!(told(sandbox.sign(again(&key), vec![], "ed25519".into())), "unsupported");
        assert_eq!(told(sandbox.hmac(again(&key), vec![])), "unsupported");
        assert_eq!(sandbox.algorithm(again(&key)).unwrap(), algorithm);
    }
}

#[tokio::test]
async fn a_convergent_key_makes_equal_of_equal_and_of_nothing_else() {
    let bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    let key = key(&mut sandbox, "aes256-gcm-siv").await;
    let mut seal = |text: &str, aad: &str| sandbox.encrypt(again(&key), text.into(), aad.into()).unwrap();
    let sealed = seal("secret", "aad");
    assert_eq!((sealed.len(), &seal("secret", "aad")), (6 + 16, &sealed));
    // Not even the part before the tag is that of a text of the same beginning.
    assert_ne!(seal("secres", "aad")[..5], sealed[..5]);
    assert_ne!(seal("secret", "dad")[..6], sealed[..6]);
    assert_eq!(sandbox.decrypt(again(&key), sealed.clone(), b"aad".to_vec()).unwrap(), b"secret");
    let mut altered = sealed.clone();
    altered[20] ^= 1;
    for (bad, aad) in [(altered, "aad"), (sealed.clone(), "dad"), (sealed[..8].to_vec(), "aad"), (vec![], "")] {
        assert_eq!(told(sandbox.decrypt(again(&key), bad, aad.as_bytes().to_vec())), "invalid");
    }
}

#[tokio::test]
async fn signatures_verify_here_and_with_the_public_key_alone() {
    let bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    for (algorithm, scheme) in [("ed25519", "ed25519"), ("ecdsa-p256", "ecdsa-p256-sha256")] {
        let key = key(&mut sandbox, algorithm).await;
        let signature = sandbox.sign(again(&key), b"m".to_vec(), scheme.into()).unwrap();
        let public = sandbox.public_key(again(&key)).unwrap();
        for (message, good) in [(b"m", true), (b"n", false)] {
            let (message, signature) = (message.to_vec(), signature.clone());
            let verified = sandbox.verify(again(&key), message.clone(), signature.clone(), scheme.into());
            assert_eq!(verified.unwrap(), good);
            let verified = sandbox.verify_with(public.clone(), message, signature, scheme.into());
            assert_eq!(verified.unwrap(), good, "{scheme}");
        }
        assert_eq!(told(sandbox.verify_with(vec![1], vec![], vec![], scheme.into())), "invalid");
        assert_eq!(told(sandbox.encrypt(again(&key), vec![], vec![])), "unsupported");
    }
    let key = key(&mut sandbox, "hmac-sha256").await;
    assert_eq!(sandbox.hmac(again(&key), b"m".to_vec()).unwrap().len(), 32);
    assert_eq!(told(sandbox.public_key(again(&key))), "unsupported");
}

#[tokio::test]
async fn a_key_is_stored_with_the_calls_writes_and_its_versions_stay() {
    let bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    let first = sandbox.create_key("k".into(), "aes256-gcm".into()).await.unwrap();
    let sealed = sandbox.encrypt(again(&first), b"x".to_vec(), vec![]).unwrap();
    assert_eq!(told(sandbox.create_key("k".into(), "ed25519".into()).await), "exists");
    assert_eq!(told(bench.sandbox(&[]).open_key("k".into(), None).await), "not-found");
    assert_eq!(sandbox.rotate_key("k".into()).await.unwrap(), 2);
    bench.view.commit(std::mem::take(&mut sandbox.writes)).await.unwrap();

    let mut later = bench.sandbox(&[]);
    let (newest, old) = (later.open_key("k".into(), None).await.unwrap(), later.open_key("k".into(), Some(1)).await);
    assert_eq!(later.version(again(&newest)).unwrap(), 2);
    assert_eq!(later.decrypt(again(&old.unwrap()), sealed.clone(), vec![]).unwrap(), b"x");
    assert_eq!(told(later.decrypt(again(&newest), sealed, vec![])), "invalid");
    assert_eq!(told(later.open_key("k".into(), Some(3)).await), "not-found");
    later.destroy_key("k".into()).await.unwrap();
    later.destroy_key("k".into()).await.unwrap();
    assert_eq!(told(later.open_key("k".into(), None).await), "not-found");
    let dump = bench.memory.dump();
    assert!(dump.iter().all(|(key, _)| key.starts_with("key/")), "keys do not lie among the plugin's entries");
}

#[tokio::test]
async fn a_handle_that_was_dropped_ends_the_call() {
    let bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    let key = key(&mut sandbox, "ed25519").await;
    let kept = again(&key);
    HostKey::drop(&mut sandbox, key).unwrap();
    assert!(matches!(halted(sandbox.hmac(kept, vec![])), Fault::Invalid(_)));
}

#[tokio::test]
async fn hashes_are_those_that_everybody_makes() {
    let bench = Bench::new();
    let mut sandbox = bench.sandbox(&[]);
    let made = hex::encode(sandbox.hash("sha256".into(), b"abc".to_vec()).unwrap());
    assert_eq!(made, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (algorithm, bytes) in [("sha384", 48), ("sha512", 64)] {
        assert_eq!(sandbox.hash(algorithm.into(), vec![]).unwrap().len(), bytes);
    }
    assert_eq!(told(sandbox.hash("md5".into(), vec![])), "unsupported");
    assert!(sandbox.constant_time_eq(vec![1], vec![1]).unwrap() && !sandbox.constant_time_eq(vec![1], vec![]).unwrap());
    let (one, other) = (sandbox.random(600).unwrap(), sandbox.random(600).unwrap());
    assert!(one.len() == 600 && one != other);
    assert!(sandbox.random(1 << 20).is_err());
}

#[tokio::test]
async fn rsa_signs_in_both_paddings_and_neither_passes_for_the_other() {
    let mut bench = bench();
    bench.call.bounds.cpu = std::time::Duration::from_secs(10);
    let mut sandbox = bench.sandbox(&[]);
    for (algorithm, bytes) in [("rsa-2048", 256), ("rsa-3072", 384), ("rsa-4096", 512)] {
        let key = key(&mut sandbox, algorithm).await;
        let public = sandbox.public_key(again(&key)).unwrap();
        for (scheme, other) in [("rsa-pss-sha256", "rsa-pkcs1v15-sha256"), ("rsa-pkcs1v15-sha256", "rsa-pss-sha256")] {
            let signature = sandbox.sign(again(&key), b"m".to_vec(), scheme.into()).unwrap();
            assert_eq!(signature.len(), bytes);
            for (message, scheme, good) in [(b"m", scheme, true), (b"n", scheme, false), (b"m", other, false)] {
                let (message, signature) = (message.to_vec(), signature.clone());
                let verified = sandbox.verify(again(&key), message.clone(), signature.clone(), scheme.into());
                assert_eq!(verified.unwrap(), good, "{scheme}");
                let verified = sandbox.verify_with(public.clone(), message, signature, scheme.into());
                assert_eq!(verified.unwrap(), good, "{scheme}");
            }
        }
        assert_eq!(told(sandbox.sign(again(&key), vec![], "ed25519".into())), "unsupported");
        assert_eq!(told(sandbox.encrypt(again(&key), vec![], vec![])), "unsupported");
        assert_eq!(sandbox.algorithm(again(&key)).unwrap(), algorithm);
    }
    let ed25519 = key(&mut sandbox, "ed25519").await;
    assert_eq!(told(sandbox.sign(again(&ed25519), vec![], "rsa-pss-sha256".into())), "unsupported");
    bench.view.commit(std::mem::take(&mut sandbox.writes)).await.unwrap();
    let opened = bench.sandbox(&[]).open_key("rsa-3072".into(), None).await;
    assert!(opened.is_ok());
}

#[tokio::test]
async fn a_key_has_so_many_versions_and_of_long_ones_fewer() {
    let bench = bench();
    let rotated = async |name: &str, versions: usize, material: usize| {
        let material = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, vec![7; material]);
        let versions: serde_json::Map<_, _> =
            (1..=versions).map(|version| (version.to_string(), serde_json::json!(material))).collect();
        let record = serde_json::json!({"algorithm": "ed25519", "newest": versions.len(), "versions": versions});
        let (mut sandbox, mut writes) = (bench.sandbox(&[]), crate::barrier::Writes::default());
        bench.call.keys.put(&mut writes, name, &record, None);
        bench.view.commit(writes).await.unwrap();
        let rotated = sandbox.rotate_key(name.into()).await?;
        bench.view.commit(std::mem::take(&mut sandbox.writes)).await.unwrap();
        Ok(rotated)
    };
    assert_eq!(rotated("last", 999, 83).await.unwrap(), 1000);
    assert_eq!(told(rotated("over", 1000, 83).await), "too-large");
    // As long as those of RSA-4096.
    assert_eq!(rotated("long", 650, 2375).await.unwrap(), 651);
    assert_eq!(told(rotated("longer", 660, 2375).await), "too-large");
}

#[tokio::test]
async fn a_call_makes_a_few_rsa_keys_and_no_more() {
    let bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    sandbox.create_key("k".into(), "rsa-2048".into()).await.unwrap();
    for version in 2..=4 {
        assert_eq!(sandbox.rotate_key("k".into()).await.unwrap(), version);
    }
    assert!(matches!(halted(sandbox.rotate_key("k".into()).await), Fault::Limit("slow keys")));
}

#[tokio::test]
async fn what_is_computed_at_once_is_bounded_and_all_of_it_counts() {
    let mut bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    let (mib, more) = (vec![7; 1 << 20], vec![7; (1 << 20) + 1]);
    let (aes, mac) = (key(&mut sandbox, "aes256-gcm").await, key(&mut sandbox, "hmac-sha256").await);
    let ed25519 = key(&mut sandbox, "ed25519").await;
    assert_eq!(told(sandbox.hash("sha256".into(), more.clone())), "too-large");
    assert_eq!(told(sandbox.hmac(again(&mac), more.clone())), "too-large");
    assert_eq!(told(sandbox.encrypt(again(&aes), more.clone(), vec![])), "too-large");
    assert_eq!(told(sandbox.decrypt(again(&aes), vec![0; more.len() + 28], vec![])), "too-large");
    assert_eq!(told(sandbox.sign(again(&ed25519), more.clone(), "ed25519".into())), "too-large");
    assert_eq!(told(sandbox.verify(again(&ed25519), more.clone(), vec![], "ed25519".into())), "too-large");
    assert_eq!(told(sandbox.verify_with(vec![], more.clone(), vec![], "ed25519".into())), "too-large");
    assert!(sandbox.constant_time_eq(more, vec![]).is_err());
    let sealed = sandbox.encrypt(again(&aes), mib.clone(), vec![]).unwrap();
    assert_eq!(sandbox.decrypt(again(&aes), sealed, vec![]).unwrap(), mib, "at the bound it goes both ways");

    bench.call.bounds.cpu = std::time::Duration::from_millis(20);
    let mut sandbox = bench.sandbox(&[]);
    let mut hashes = (0..10_000).map(|_| sandbox.hash("sha512".into(), mib.clone()));
    assert!(matches!(halted(hashes.find(Result::is_err).unwrap()), Fault::Limit("cpu")));
}

/// RFC 6979, section A.2.5: the key, and the signature of the SHA-256 of "sample".
#[test]
fn a_known_signature_is_good_for_the_text_and_for_its_digest() {
    let bench = bench();
    let mut sandbox = bench.sandbox(&[]);
    let bytes = |text: &str| hex::decode(text).unwrap();
    let public = bytes(
        "3059301306072a8648ce3d020106082a8648ce3d03010703420004\
         60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
         7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
    );
    let signature = bytes(
        "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    );
    let digest = bytes("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf");
    for (message, scheme, good) in [
        (b"sample".to_vec(), "ecdsa-p256-sha256", true),
        (digest.clone(), "ecdsa-p256-sha256-prehashed", true),
        (digest, "ecdsa-p256-sha256", false),
        (vec![0; 32], "ecdsa-p256-sha256-prehashed", false),
    ] {
        let verified = sandbox.verify_with(public.clone(), message, signature.clone(), scheme.into());
        assert_eq!(verified.unwrap(), good, "{scheme}");
    }
}

#[tokio::test]
async fn a_digest_signs_as_the_text_does_and_nothing_else_is_taken_for_one() {
    let mut bench = bench();
    bench.call.bounds.cpu = std::time::Duration::from_secs(10);
    let mut sandbox = bench.sandbox(&[]);
    let digest = Host::hash(&mut sandbox, "sha256".into(), b"m".to_vec()).unwrap();
    for (algorithm, scheme) in
        [("ecdsa-p256", "ecdsa-p256-sha256"), ("rsa-2048", "rsa-pss-sha256"), ("rsa-3072", "rsa-pkcs1v15-sha256")]
    {
        let key = key(&mut sandbox, algorithm).await;
        let prehashed = format!("{scheme}-prehashed");
        let of_text = sandbox.sign(again(&key), b"m".to_vec(), scheme.into()).unwrap();
        let of_digest = sandbox.sign(again(&key), digest.clone(), prehashed.clone()).unwrap();
        for signature in [of_text, of_digest] {
            for (message, scheme, good) in
                [(b"m".to_vec(), scheme, true), (digest.clone(), &prehashed, true), (digest.clone(), scheme, false)]
            {
                let verified = sandbox.verify(again(&key), message, signature.clone(), scheme.into());
                assert_eq!(verified.unwrap(), good, "{scheme}");
            }
        }
        for wrong in [vec![], vec![0; 31], vec![0; 33]] {
            assert_eq!(told(sandbox.sign(again(&key), wrong.clone(), prehashed.clone())), "invalid");
            assert_eq!(told(sandbox.verify(again(&key), wrong, vec![], prehashed.clone())), "invalid");
        }
    }
    let ed25519 = key(&mut sandbox, "ed25519").await;
    for scheme in ["ed25519-prehashed", "ecdsa-p256-sha256-prehashed", "-prehashed"] {
        assert_eq!(told(sandbox.sign(again(&ed25519), digest.clone(), scheme.into())), "unsupported", "{scheme}");
    }
}
