use std::{fs, os::unix::fs::PermissionsExt};

use base64::{Engine, engine::general_purpose};

use super::*;

#[tokio::test]
async fn a_key_opens_its_store_after_a_restart_and_another_does_not() {
    let (nodes, barrier, key) = Nodes::key_file().await;
    write(&barrier, "a", "one").await.unwrap();
    let later = nodes.start();
    let mut wrong = *key.reveal();
    wrong[31] ^= 1;
    assert!(matches!(later.unseal_key(&Secret::new(wrong)).await, Err(Error::Key("is not of this store"))));
    assert!(later.is_sealed());
    later.unseal_key(&key).await.unwrap();
    assert_eq!(read(&later, "a").await.unwrap(), "one");
    later.unseal_key(&key).await.unwrap();
}

#[tokio::test]
async fn a_seal_or_keyring_changed_anywhere_opens_nothing() {
    let (nodes, _, key) = Nodes::key_file().await;
    for row in [layout::SEAL, layout::KEYRING] {
        let whole = nodes.row(row).unwrap();
        for at in 0..whole.value.len() {
            for bit in [0x01, 0x20, 0x80] {
                let mut entry = whole.clone();
                entry.value[at] ^= bit;
                nodes.storage.memory().tamper(row, Some(entry));
                let node = nodes.start();
                let opened = node.unseal_key(&key).await;
                assert!(matches!(opened, Err(Error::Corrupt(_) | Error::Key(_))), "{row} {at}: {opened:?}");
                assert!(node.is_sealed());
            }
            nodes.storage.memory().tamper(row, Some(Entry { value: whole.value[..at].to_vec(), ..whole.clone() }));
            assert!(matches!(nodes.start().unseal_key(&key).await, Err(Error::Corrupt(_))));
        }
        nodes.storage.memory().tamper(row, Some(whole));
    }
    let keyring = nodes.row(layout::KEYRING).unwrap();
    let later = Some(Timestamp::from_millis(9_000_000));
    for entry in [
        Some(Entry { version: Version::random(), ..keyring.clone() }),
        Some(Entry { expires_at: later, ..keyring.clone() }),
        None,
    ] {
        nodes.storage.memory().tamper(layout::KEYRING, entry);
        assert!(matches!(nodes.start().unseal_key(&key).await, Err(Error::Corrupt(_))));
    }
    nodes.storage.memory().tamper(layout::KEYRING, Some(keyring));
    nodes.start().unseal_key(&key).await.unwrap();
}

#[tokio::test]
async fn the_keyring_of_another_store_under_the_same_key_does_not_open() {
    let (nodes, _, key) = Nodes::key_file().await;
    let other = Nodes::none();
    other.start().init(Init::KeyFile(key.clone())).await.unwrap();
    nodes.storage.memory().tamper(layout::KEYRING, other.row(layout::KEYRING));
    assert!(matches!(nodes.start().unseal_key(&key).await, Err(Error::Corrupt(_))));
    nodes.storage.memory().tamper(layout::SEAL, other.row(layout::SEAL));
    nodes.start().unseal_key(&key).await.unwrap();
}

#[tokio::test]
async fn no_share_or_key_stands_in_the_store() {
    let (nodes, _, shares) = Nodes::shamir(3, 2).await;
    let (keyed, _, key) = Nodes::key_file().await;
    let mut secrets: Vec<_> = shares.iter().map(|share| share.reveal().split('_').nth(3).unwrap().to_owned()).collect();
    secrets.push(hex::encode(key.reveal()));
    for (_, entry) in [nodes.storage.memory().dump(), keyed.storage.memory().dump()].concat() {
        let stored = hex::encode(&entry.value) + &String::from_utf8_lossy(&entry.value);
        assert!(secrets.iter().all(|secret| !stored.contains(secret)));
    }
}

#[test]
fn a_key_is_read_in_each_of_its_forms_and_no_other() {
    let key: [u8; 32] = random();
    let forms = [
        hex::encode(key),
        hex::encode_upper(key),
        general_purpose::STANDARD.encode(key),
        general_purpose::STANDARD_NO_PAD.encode(key),
        general_purpose::URL_SAFE.encode(key),
    ];
    for form in forms {
        assert_eq!(parse_key(&Secret::new(format!(" {form}\n"))).unwrap().reveal(), &key, "{form}");
        assert!(parse_key(&Secret::new(form[1..].to_owned())).is_err());
        assert!(parse_key(&Secret::new(format!("{form}{form}"))).is_err());
    }
    for bad in ["", "hunter2", &general_purpose::STANDARD.encode([1; 31]), &hex::encode([1; 33])] {
        assert!(matches!(parse_key(&Secret::new(bad.to_owned())), Err(Error::Key(_))), "{bad}");
    }
}

#[test]
fn a_key_file_holds_the_key_raw_or_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("key"), random::<32>());
    for content in [key.to_vec(), hex::encode(key).into_bytes(), (hex::encode(key) + "\n").into_bytes()] {
        fs::write(&path, content).unwrap();
        assert_eq!(read_key(&path).unwrap().reveal(), &key);
    }
    for content in [&b""[..], b"short", &[b'a'; 100_000]] {
        fs::write(&path, content).unwrap();
        assert!(read_key(&path).is_err());
    }
    assert!(read_key(&folder.path().join("missing")).is_err());
}

#[test]
fn a_dev_key_is_made_once_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let key = dev_key(folder.path()).unwrap();
    assert_eq!(dev_key(folder.path()).unwrap().reveal(), key.reveal());
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_init_code_is_for_whoever_reads_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let old = InitCode::write(folder.path()).unwrap();
    let code = InitCode::write(folder.path()).unwrap();
    let path = folder.path().join(InitCode::FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(code.check(&text) && code.check(text.trim()) && !old.check(&text));
    for wrong in ["", &text[1..], &text[..31], &format!("{}x", text.trim())] {
        assert!(!code.check(wrong), "{wrong}");
    }
    assert!(!format!("{code:?}").contains(text.trim()));
    code.remove().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
