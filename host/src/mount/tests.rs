//! Mounts without a server: the same store, runtime and catalog, and a clock that is moved by hand.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    barrier::Writes,
    catalog,
    clock::{Hand, Timestamp},
    document::Author,
    fence::Counter,
    ids::UserId,
    limits,
    runtime::{
        Fault, Handle, Options,
        testing::{GET, PUT, engine, maintained, request},
    },
    storage::{Backend, Expect, Memory},
};

mod changes;
mod lending;
mod passing;
mod slow;
mod ticks;
mod torn;
mod upgrades;

struct House {
    mounts: Mounts,
    catalog: Catalog,
    barrier: Barrier,
    memory: Arc<Memory>,
    documents: Documents,
    fence: Fence,
    security: Security,
    clock: Clock,
    hand: Hand,
}

const KEY: &str = "secrets/hello";

fn section(version: &str) -> String {
    let text = format!("[plugin]\nname = \"hello\"\nversion = \"{version}\"\nkind = \"secrets\"\napi = \"1.0\"\n");
    format!(r#"(@custom "coffer:manifest" "{}")"#, text.escape_default())
}

fn guest(version: &str, body: &str) -> Vec<u8> {
    engine("", &section(version), body)
}

fn name() -> MountName {
    MountName::parse("hello").unwrap()
}

impl House {
    async fn new() -> Self {
        let memory = Arc::new(Memory::default());
        Self::over(memory.clone(), memory).await
    }

    async fn over(memory: Arc<Memory>, storage: Arc<dyn Backend>) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
        let barrier = Barrier::for_test(storage, clock.clone());
        let fence = Fence::new(barrier.clone(), clock.clone());
        let documents = Documents::new(&barrier);
        let security = Security::new(documents.clone(), fence.clone());
        let catalog = Catalog::open(Vec::new(), &barrier).unwrap();
        let options = Options { calls: 8, calls_each: 4, queue: 4, passwords: 1 };
        let runtime = Runtime::new(clock.clone(), options).unwrap();
        let parts = (&barrier, &clock, &fence);
        let mounts = Mounts::new(parts, documents.clone(), security.clone(), catalog.clone(), runtime);
        let house = Self { mounts, catalog, barrier, memory, documents, fence, security, clock, hand };
        house.rules(json!({"require_signature": false})).await;
        house
    }

    async fn store(&self, mut writes: Writes) {
        [Counter::Mounts, Counter::Settings].iter().for_each(|counter| self.fence.raise(&mut writes, *counter));
        self.barrier.commit(writes).await.unwrap();
        self.fence.ask().await.unwrap();
        self.security.refresh().await.unwrap();
        self.mounts.refresh().await.unwrap();
    }

    async fn rules(&self, plugins: Value) {
        let mut writes = Writes::default();
        let current = self.documents.read("security").await.unwrap();
        let value = json!({"plugins": plugins});
        self.documents.write(&mut writes, "security", &current, Some(value), Author::server(self.clock.now()));
        self.store(writes).await;
    }

    async fn upload(&self, wasm: &[u8]) -> Digest {
        let component = catalog::inspect(wasm).unwrap();
        let mut writes = Writes::default();
        let upload = catalog::Upload { component: &component, bytes: wasm, staged: None };
        let by = catalog::Author { user: UserId::new(), at: self.clock.now() };
        self.catalog.propose(&mut writes, None, upload, by);
        self.store(writes).await;
        component.digest
    }

    async fn set(&self, version: &str) -> Result<(), Refusal> {
        self.set_to(json!({"plugin": "hello", "version": version})).await
    }

    async fn set_to(&self, value: Value) -> Result<(), Refusal> {
        self.set_value(name(), value).await
    }

    async fn set_at(&self, name: MountName, version: &str) -> Result<(), Refusal> {
        self.set_value(name, json!({"plugin": "hello", "version": version})).await
    }

    async fn set_value(&self, name: MountName, value: Value) -> Result<(), Refusal> {
        let key = format!("secrets/{name}");
        let current = self.documents.read(&key).await.unwrap();
        let change = self.mounts.prepare(Kind::Secrets, name, &value, false).await?;
        let mut writes = Writes::default();
        let document = self.documents.write(&mut writes, &key, &current, Some(value), Author::server(self.clock.now()));
        self.mounts.propose(&mut writes, &change, document.number);
        self.store(writes).await;
        Ok(())
    }

    fn mount(&self) -> Arc<Mount> {
        self.mounts.get(Kind::Secrets, &name()).unwrap()
    }

    fn live(&self) -> String {
        self.mount().live().unwrap().manifest().version.to_string()
    }

    async fn ask(&self, user: &str) -> Result<(), Error> {
        let facts = Facts { principal: Some(user.to_owned()), ..Facts::default() };
        let Handle(asked) = request("read", "a", "");
        self.mounts.call(&self.mount(), facts, "a")?.run(Handle(asked)).await.map(drop)
    }

    /// 1.0.0 works, and 2.0.0, which traps, has come in its place.
    async fn badly_upgraded(&self) -> Digest {
        let good = self.upload(&guest("1.0.0", "(call $ok)")).await;
        self.upload(&guest("2.0.0", "(unreachable)")).await;
        self.set("1.0.0").await.unwrap();
        self.set("2.0.0").await.unwrap();
        good
    }

    async fn fail_for_several(&self) {
        for user in ["ada", "bob", "eve"] {
            assert!(matches!(self.ask(user).await, Err(Error::Fault(Fault::Trap(_)))));
        }
    }

    async fn roll_back_all(&self) -> usize {
        let mut done = 0;
        for (mount, why) in self.mounts.failing() {
            done += usize::from(self.mounts.roll_back(&mount, &why, false).await.unwrap().is_some());
        }
        done
    }

    /// False: another node is at it, or it is not done.
    async fn migrate(&self, mount: &Arc<Mount>) -> Result<bool, Error> {
        match self.mounts.claim_migration(mount).await? {
            Some(moving) => self.mounts.migrate(moving).await,
            None => Ok(false),
        }
    }
}

#[tokio::test]
async fn an_upgrade_that_fails_is_undone_once_and_the_setting_says_so() {
    let house = House::new().await;
    house.badly_upgraded().await;
    house.fail_for_several().await;
    assert_eq!((house.roll_back_all().await, house.live()), (1, "1.0.0".to_owned()));
    house.ask("ada").await.unwrap();
    let document = house.documents.read(KEY).await.unwrap();
    assert_eq!(document.document().unwrap().value["version"], "1.0.0");
    assert_eq!(house.mounts.condition(&house.mount()).rolled_back.unwrap().version.to_string(), "2.0.0");
    assert_eq!(house.roll_back_all().await, 0);
    // Who wants it all the same may have it; and it is watched again.
    house.set("2.0.0").await.unwrap();
    house.fail_for_several().await;
    assert_eq!((house.roll_back_all().await, house.live()), (1, "1.0.0".to_owned()));
}

#[tokio::test]
async fn there_is_no_way_back_once_the_window_is_over() {
    let house = House::new().await;
    house.badly_upgraded().await;
    house.hand.advance(limits::ROLLBACK_WINDOW - Duration::from_secs(1));
    house.fail_for_several().await;
    assert_eq!(house.mounts.failing().len(), 1);
    house.hand.advance(Duration::from_secs(1));
    assert!(house.mounts.failing().is_empty());
    let mount = house.mount();
    assert!(house.mounts.roll_back(&mount, "late", false).await.unwrap().is_none());
    match house.set("1.0.0").await {
        Err(Refusal::Invalid(problems)) => assert_eq!(problems[0].code, "rollback_window"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_goes_back_to_what_is_denied() {
    let house = House::new().await;
    let good = house.badly_upgraded().await;
    house.rules(json!({"require_signature": false, "denied": [good.as_str()]})).await;
    house.fail_for_several().await;
    assert_eq!((house.roll_back_all().await, house.live()), (0, "2.0.0".to_owned()));
    assert!(house.mounts.failing().is_empty(), "it is not tried for ever");
}

#[tokio::test]
async fn what_was_taken_away_since_the_upgrade_does_not_come_back_with_the_old_version() {
    let house = House::new().await;
    let asks = "\n[requires]\nheaders = [\"x-team\"]\n";
    let with_header = |version: &str, body: &str| {
        let section = section(version);
        let text = section.trim_end_matches("\")").to_owned() + &asks.escape_default().to_string() + "\")";
        engine("", &text, body)
    };
    house.upload(&with_header("1.0.0", "(call $ok)")).await;
    house.upload(&with_header("2.0.0", "(unreachable)")).await;
    let set = async |version: &str, headers: Value| {
        let value = json!({"plugin": "hello", "version": version, "grant": {"headers": headers}});
        let current = house.documents.read(KEY).await.unwrap();
        let change = house.mounts.prepare(Kind::Secrets, name(), &value, false).await.unwrap();
        let mut writes = Writes::default();
        let document =
            house.documents.write(&mut writes, KEY, &current, Some(value), Author::server(house.clock.now()));
        house.mounts.propose(&mut writes, &change, document.number);
        house.store(writes).await;
    };
    set("1.0.0", json!(["x-team"])).await;
    set("2.0.0", json!(["x-team"])).await;
    set("2.0.0", json!([])).await;
    house.fail_for_several().await;
    assert_eq!((house.roll_back_all().await, house.live()), (0, "2.0.0".to_owned()));
}

/// Notes at its first call that it was there, and is done when it finds the note.
fn migrating(version: &str) -> Vec<u8> {
    let body = r#"(call $get (i32.const 2200) (i32.const 1) (i32.const 2304))
        (if (i32.load8_u (i32.const 2312)) (then (return (i32.const 2128))))
        (call $put (i32.const 2200) (i32.const 1) (i32.const 2200) (i32.const 1)
            (i32.const 0) (i64.const 0) (i32.const 2400))
        (i32.const 2112)"#;
    let more = format!("{} (data (i32.const 2200) \"m\")", section(version));
    maintained(&format!("{GET} {PUT}"), &more, body)
}

#[tokio::test]
async fn data_is_moved_on_when_there_is_no_way_back_and_then_there_is_none() {
    let house = House::new().await;
    house.upload(&guest("1.0.0", "(call $ok)")).await;
    house.upload(&migrating("2.0.0")).await;
    house.set("1.0.0").await.unwrap();
    house.set("2.0.0").await.unwrap();
    house.hand.advance(limits::ROLLBACK_WINDOW - Duration::from_secs(1));
    assert!(house.mounts.unmigrated().is_empty(), "not while one may go back");
    house.hand.advance(Duration::from_secs(1));
    let [mount] = &house.mounts.unmigrated()[..] else { panic!("one mount is due") };
    let data = house.barrier.view(Prefix::Data(mount.id.clone()));
    assert!(house.migrate(mount).await.unwrap());
    assert_eq!(&data.get_bytes("m").await.unwrap().unwrap().value[..], b"m");
    assert!(house.mounts.unmigrated().is_empty(), "done once");
    assert!(house.mount().previous.is_none());
}

#[tokio::test]
async fn a_version_that_migrates_nothing_is_final_after_the_window() {
    let house = House::new().await;
    house.badly_upgraded().await;
    house.hand.advance(limits::ROLLBACK_WINDOW);
    let [mount] = &house.mounts.unmigrated()[..] else { panic!("one mount is due") };
    assert!(house.migrate(mount).await.unwrap());
    assert!(house.mounts.unmigrated().is_empty());
}

#[tokio::test]
async fn a_mount_whose_plugin_is_gone_is_broken_and_comes_back_with_it() {
    let house = House::new().await;
    let wasm = guest("1.0.0", "(call $ok)");
    house.upload(&wasm).await;
    house.set("1.0.0").await.unwrap();
    // As if the entry had been lost: through the catalog it cannot be deleted.
    let plugins = house.barrier.view(Prefix::Plugin);
    let kept = plugins.get::<Value>("hello/1.0.0").await.unwrap().unwrap().value;
    let mut writes = Writes::default();
    plugins.delete(&mut writes, "hello/1.0.0");
    house.store(writes).await;
    // What runs goes on; a node that starts finds nothing.
    house.mounts.clear();
    house.mounts.refresh().await.unwrap();
    let condition = house.mounts.condition(&house.mount());
    assert_eq!((condition.health, condition.live.is_none()), (Health::Broken, true));
    assert!(condition.reason.is_some_and(|why| why.contains("not a plugin that is here")));
    assert!(matches!(house.ask("ada").await, Err(Error::Broken(_))));
    let mut writes = Writes::default();
    plugins.put(&mut writes, "hello/1.0.0", &kept, None);
    house.store(writes).await;
    house.ask("ada").await.unwrap();
}

#[tokio::test]
async fn compiled_code_that_nobody_runs_is_let_go() {
    let house = House::new().await;
    for minor in 0..5 {
        house.upload(&guest(&format!("1.{minor}.0"), "(call $ok)")).await;
        house.set(&format!("1.{minor}.0")).await.unwrap();
    }
    assert_eq!(house.mounts.0.compiled.len(), 2, "what runs, and what came before it");
}

/// Writes that rest on what is not so.
fn conflicting(house: &House, mount: &Mount) -> Writes {
    let view = house.barrier.view(Prefix::Data(mount.id.clone()));
    let mut writes = Writes::default();
    view.put_bytes(&mut writes, "k", b"v".to_vec().into(), None);
    view.expect(&mut writes, "k", Expect::Version(Version::from_raw(7)));
    writes
}

#[tokio::test]
async fn a_mount_that_stays_in_all_its_queues_holds_up_no_other_and_keeps_them_over_a_change() {
    let house = House::new().await;
    house.upload(&guest("1.0.0", "(call $ok)")).await;
    house.upload(&guest("1.1.0", "(call $ok)")).await;
    let other = MountName::parse("other").unwrap();
    house.set("1.0.0").await.unwrap();
    house.set_at(other.clone(), "1.0.0").await.unwrap();
    let mount = house.mount();
    let queues = mount.live().unwrap().queues.clone();
    let held: Vec<_> =
        (0..100_000).filter_map(|place: u32| queues.of(&place.to_string()).try_lock_owned().ok()).collect();
    assert_eq!(held.len(), limits::CONFLICT_QUEUES);
    let other = house.mounts.get(Kind::Secrets, &other).unwrap();
    let mut call = house.mounts.call(&other, Facts::default(), "a").unwrap();
    assert!(!call.commit(conflicting(&house, &other), true).await.unwrap(), "it may run again at once");
    house.set("1.1.0").await.unwrap();
    let mut call = house.mounts.call(&house.mount(), Facts::default(), "a").unwrap();
    let waits = call.commit(conflicting(&house, &mount), true);
    tokio::select! {
        biased;
        ended = waits => panic!("it has its turn: {ended:?}"),
        () = drained() => {}
    }
    drop(held);
    assert!(!call.commit(conflicting(&house, &mount), true).await.unwrap());
}

/// Everything that can go on has gone on.
async fn drained() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

fn asking(version: &str, more: &str) -> Vec<u8> {
    let text = section(version).trim_end_matches("\")").to_owned() + &more.escape_default().to_string() + "\")";
    engine("", &text, "(call $ok)")
}

/// A configuration whose members are these, of which some are secrets.
fn configured(version: &str, members: &str) -> Vec<u8> {
    asking(version, &format!("\n[config]\ntype = \"object\"\n{members}"))
}

#[tokio::test]
async fn what_a_new_version_would_not_hide_is_exposed() {
    let house = House::new().await;
    let (key, base) =
        ("[config.properties.api_key]\nwriteOnly = true\n", "[config.properties.base]\ntype = \"string\"\n");
    let whole = "[config.properties.auth]\nwriteOnly = true\n";
    let part = "[config.properties.auth.properties.token]\nwriteOnly = true\n";
    for (version, members) in [
        ("1.0.0", format!("{key}{base}")),
        ("1.1.0", base.to_owned()),
        ("1.2.0", format!("{key}{whole}")),
        ("1.3.0", format!("{key}{part}")),
    ] {
        house.upload(&configured(version, &members)).await;
    }
    let value = |version: &str, config: &Value| json!({"plugin": "hello", "version": version, "config": config});
    let config = json!({"api_key": "s", "base": "b", "auth": {"token": "t", "user": "u"}});
    let exposed = |old: &str, new: &str| house.mounts.exposed(&value(old, &config), &value(new, &config));
    assert_eq!(exposed("1.0.0", "1.1.0"), ["/api_key"]);
    assert!(exposed("1.0.0", "1.0.0").is_empty() && exposed("1.1.0", "1.0.0").is_empty());
    assert_eq!(exposed("1.2.0", "1.3.0"), ["/auth"], "what stands beside the part was hidden, too");
    assert!(exposed("1.3.0", "1.2.0").is_empty(), "the whole hides its parts");
    let gone = json!({"api_key": null, "base": "b"});
    assert!(house.mounts.exposed(&value("1.0.0", &config), &value("1.1.0", &gone)).is_empty());
}

#[tokio::test]
async fn what_nobody_can_tell_from_a_secret_is_exposed() {
    let house = House::new().await;
    house.upload(&configured("1.0.0", "[config.properties.api_key]\nwriteOnly = true\n")).await;
    let config = json!({"api_key": "s", "base/url": "b", "none": null});
    let value = |version: &str| json!({"plugin": "hello", "version": version, "config": config});
    assert_eq!(house.mounts.exposed(&value("0.9.0"), &value("1.0.0")), ["/api_key", "/base~1url"]);
    assert!(house.mounts.exposed(&value("1.0.0"), &value("1.0.0")).is_empty());
}

#[tokio::test]
async fn another_server_in_a_configuration_is_noticed_whoever_named_it() {
    let house = House::new().await;
    let asks = "\n[[requires.http]]\nhost_from = \"/base_url\"\nwhy = \"x\"\n[config]\ntype = \"object\"\n";
    house.upload(&asking("1.0.0", asks)).await;
    house.upload(&asking("1.1.0", "\n[config]\ntype = \"object\"\n")).await;
    let value = |version: &str, config: Value| json!({"plugin": "hello", "version": version, "config": config});
    let (one, other) = (json!({"base_url": "https://a.example"}), json!({"base_url": "https://b.example"}));
    let moved = |old: &Value, new: &Value| house.mounts.moved(old, new);
    let first = value("1.0.0", one.clone());
    assert!(moved(&first, &first).is_empty());
    assert_eq!(moved(&first, &value("1.0.0", other.clone())), ["/base_url"]);
    assert_eq!(moved(&first, &value("1.0.0", json!({}))), ["/base_url"], "the usual one is another one, too");
    assert_eq!(moved(&first, &value("1.1.0", other.clone())), ["/base_url"], "whatever the new version says of it");
    assert_eq!(moved(&value("0.9.0", one), &value("1.0.0", other)), ["/base_url"]);
}

#[tokio::test]
async fn what_a_mount_is_to_take_back_is_not_stored_once_it_is_gone() {
    let house = House::new().await;
    house.upload(&guest("1.0.0", "(call $ok)")).await;
    house.set("1.0.0").await.unwrap();
    let mount = house.mount();
    let (mut of_call, mut of_intent) = (Writes::default(), Writes::default());
    house.mounts.rest_on(&mut of_call, &mount).await.unwrap();
    assert!(rest_on(&house.barrier, &mut of_intent, &mount.id).await.unwrap());
    let data = house.barrier.view(Prefix::Data(mount.id.clone()));
    for batch in [&mut of_call, &mut of_intent] {
        data.put(batch, "k", &1, None);
    }
    let change = house.mounts.prepare_removal(Kind::Secrets, name()).await.unwrap();
    let current = house.documents.read(KEY).await.unwrap();
    let mut writes = Writes::default();
    let document = house.documents.write(&mut writes, KEY, &current, None, Author::server(house.clock.now()));
    house.mounts.propose(&mut writes, &change, document.number);
    house.store(writes).await;
    for late in [of_call, of_intent] {
        assert!(matches!(house.barrier.commit(late).await, Err(crate::barrier::Error::Conflict)));
    }
    assert!(matches!(house.mounts.rest_on(&mut Writes::default(), &mount).await, Err(Error::Disabled)));
    assert!(!rest_on(&house.barrier, &mut Writes::default(), &mount.id).await.unwrap());
    // Another mount at the same place is another mount.
    house.set("1.0.0").await.unwrap();
    assert!(matches!(house.mounts.rest_on(&mut Writes::default(), &mount).await, Err(Error::Disabled)));
}
