//! Changes of a mount's setting that are no change of its plugin, and those that come while another version waits.

use super::*;
use crate::runtime::testing::checking;

/// Refuses its configuration as `unavailable`, for seven seconds, once the mount holds `d`.
fn leaning(version: &str) -> Vec<u8> {
    let check = r#"(call $get (i32.const 2200) (i32.const 1) (i32.const 2304))
        (if (i32.load8_u (i32.const 2312)) (then
            (i32.store (i32.const 3100) (i32.const 1))
            (i32.store offset=4 (i32.const 3100) (i32.const 3000))
            (i32.store offset=8 (i32.const 3100) (i32.const 11))
            (i32.store offset=28 (i32.const 3100) (i32.const 1))
            (i32.store offset=32 (i32.const 3100) (i32.const 7000))
            (return (i32.const 3100))))
        (i32.const 2048)"#;
    let more = format!(r#"{} (data (i32.const 2200) "d") (data (i32.const 3000) "unavailable")"#, section(version));
    checking(GET, &more, check)
}

fn value(version: &str, enabled: bool, group: Option<&str>) -> Value {
    let roles: Value = group.map(|group| (group.to_owned(), json!({"give": ["user"]}))).into_iter().collect();
    json!({"plugin": "hello", "version": version, "enabled": enabled, "roles": roles})
}

impl House {
    async fn mounted_with_role(wasm: &[u8]) -> Self {
        let house = Self::new().await;
        house.upload(wasm).await;
        house.set_to(value("1.0.0", true, Some("team:1"))).await.unwrap();
        house
    }

    /// A role is taken away, and the mount is switched off: whatever is wrong with its plugin. It comes up only by being tried.
    async fn lets_go(&self) -> Refusal {
        self.set_to(value("1.0.0", true, None)).await.unwrap();
        assert!(self.mount().spec.roles.is_empty());
        self.set_to(value("1.0.0", false, None)).await.unwrap();
        assert!(matches!(self.mount().live(), Err(Error::Disabled)));
        // Switched off it may be set to whatever it was, and is still not tried.
        self.set_to(value("1.0.0", false, Some("team:2"))).await.unwrap();
        self.set_to(value("1.0.0", true, None)).await.unwrap_err()
    }

    async fn set_down(&self, is_down: bool) {
        let data = self.barrier.view(Prefix::Data(self.mount().id.clone()));
        let mut writes = Writes::default();
        match is_down {
            true => drop(data.put_bytes(&mut writes, "d", b"d".to_vec().into(), None)),
            false => data.delete(&mut writes, "d"),
        }
        self.barrier.commit(writes).await.unwrap();
    }

    fn shown(&self) -> Vec<String> {
        let all = ["x-one", "x-two", "x-more"].map(|name| (name.to_owned(), "v".to_owned()));
        self.mount().shown(&all).into_iter().map(|(name, _)| name).collect()
    }
}

fn code(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid(problems) => problems[0].code.to_string(),
        Refusal::Failed(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_mount_is_switched_off_and_loses_roles_while_what_its_plugin_asks_is_away() {
    let house = House::mounted_with_role(&leaning("1.0.0")).await;
    house.set_down(true).await;
    match house.lets_go().await {
        Refusal::Failed(Error::Fault(Fault::Refused(error))) => {
            assert_eq!((error.code.as_str(), error.retry_after), ("unavailable", Some(Duration::from_secs(7))));
        }
        other => panic!("{other:?}"),
    }
    house.set_down(false).await;
    house.set_to(value("1.0.0", true, None)).await.unwrap();
    house.ask("ada").await.unwrap();
}

#[tokio::test]
async fn a_mount_is_switched_off_and_loses_roles_while_its_plugin_is_denied_or_not_trusted() {
    for (rules, why) in [
        (json!({"require_signature": true}), "unsigned"),
        (json!({"require_signature": false, "denied": [Digest::of(&leaning("1.0.0")).as_str()]}), "denied_plugin"),
    ] {
        let house = House::mounted_with_role(&leaning("1.0.0")).await;
        house.rules(rules).await;
        assert_eq!(code(&house.lets_go().await), why);
    }
}

#[tokio::test]
async fn a_mount_is_switched_off_and_loses_roles_when_its_plugin_is_gone() {
    let house = House::mounted_with_role(&leaning("1.0.0")).await;
    let mut writes = Writes::default();
    house.barrier.view(Prefix::Plugin).delete(&mut writes, "hello/1.0.0");
    house.store(writes).await;
    assert_eq!(code(&house.lets_go().await), "unknown_plugin");
}

#[tokio::test]
async fn a_version_that_is_set_while_a_mount_is_off_is_tried_when_it_is_on_again() {
    let house = House::new().await;
    house.upload(&guest("1.0.0", "(call $ok)")).await;
    house.upload(&leaning("2.0.0")).await;
    house.set("1.0.0").await.unwrap();
    house.set_down(true).await;
    house.set_to(value("2.0.0", false, None)).await.unwrap();
    let condition = house.mounts.condition(&house.mount());
    assert!(condition.pending.is_some_and(|(version, needs)| version == "2.0.0" && needs.is_empty()));
    // What is out is taken back by what has lent it.
    let both = ["1.0.0", "2.0.0"].map(|version| semver::Version::parse(version).unwrap());
    for version in both {
        assert_eq!(house.mounts.users_of(&house.mount().spec.plugin, &version), [KEY]);
    }
    assert!(matches!(house.set_to(value("2.0.0", true, None)).await, Err(Refusal::Failed(_))));
    house.set_down(false).await;
    house.set_to(value("2.0.0", true, None)).await.unwrap();
    assert_eq!(house.live(), "2.0.0");
    assert!(house.mount().previous.is_some(), "there is a way back to what was live");
    assert!(house.mounts.condition(&house.mount()).pending.is_none());
}

#[tokio::test]
async fn nobody_elses_plugin_is_given_what_a_mount_holds_by_switching_it_off() {
    let house = House::mounted_with_role(&guest("1.0.0", "(call $ok)")).await;
    let section = section("1.0.0").replace("hello", "other");
    house.upload(&engine("", &section, "(call $ok)")).await;
    let other = json!({"plugin": "other", "version": "1.0.0", "enabled": false});
    assert_eq!(code(&house.set_to(other).await.unwrap_err()), "mount_holds_data");
}

const CONFIG: &str = "\n[config]\ntype = \"object\"\nadditionalProperties = false\n[config.properties.a]\n";

/// 1.0.0 is live with two headers, and 2.0.0 waits for a third.
async fn waiting() -> House {
    let house = House::new().await;
    let asks = |headers: &str| format!("\n[requires]\nheaders = [{headers}]\n{CONFIG}");
    house.upload(&asking("1.0.0", &asks("\"x-one\", \"x-two\""))).await;
    house.upload(&asking("2.0.0", &(asks("\"x-one\", \"x-two\", \"x-more\"") + "[config.properties.b]\n"))).await;
    let both = json!({"headers": ["x-one", "x-two"]});
    house.set_to(json!({"plugin": "hello", "version": "1.0.0", "grant": both})).await.unwrap();
    house.set_to(json!({"plugin": "hello", "version": "2.0.0", "grant": both})).await.unwrap();
    assert_eq!((house.live().as_str(), house.shown().len()), ("1.0.0", 2));
    house
}

#[tokio::test]
async fn what_is_taken_away_while_another_version_waits_is_gone_at_once() {
    let house = waiting().await;
    let set = async |grant: Value, deny: Value| {
        let value = json!({"plugin": "hello", "version": "2.0.0", "grant": grant, "deny": deny});
        house.set_to(value).await.unwrap();
        assert_eq!(house.live(), "1.0.0");
        assert!(house.mounts.condition(&house.mount()).pending.is_some());
    };
    set(json!({"headers": ["x-one"]}), json!({})).await;
    assert_eq!(house.shown(), ["x-one"]);
    set(json!({"headers": ["x-one", "x-two"]}), json!({"headers": ["x-one"]})).await;
    assert_eq!(house.shown(), ["x-two"]);
    set(json!({"headers": ["x-one", "x-two"]}), json!({})).await;
    assert_eq!(house.shown(), ["x-one", "x-two"]);
    // A node that comes up later has it from the store.
    set(json!({}), json!({})).await;
    house.mounts.clear();
    house.mounts.refresh().await.unwrap();
    assert!(house.shown().is_empty());
    // What only the new one asks for is nothing to the live one; granted, the new one has it.
    let all = json!({"headers": ["x-one", "x-two", "x-more"]});
    house.set_to(json!({"plugin": "hello", "version": "2.0.0", "grant": all})).await.unwrap();
    assert_eq!((house.live().as_str(), house.shown().len()), ("2.0.0", 3));
}

#[tokio::test]
async fn what_is_taken_away_with_the_wish_for_another_version_is_gone_at_once() {
    let house = waiting().await;
    house.set_to(json!({"plugin": "hello", "version": "1.0.0", "grant": {"headers": ["x-one"]}})).await.unwrap();
    house.set_to(json!({"plugin": "hello", "version": "2.0.0", "grant": {"headers": []}})).await.unwrap();
    assert!(house.live() == "1.0.0" && house.shown().is_empty());
}

#[tokio::test]
async fn a_configuration_is_the_live_versions_at_once_or_is_refused_while_another_waits() {
    let house = waiting().await;
    let set = async |config: Value| {
        let grant = json!({"headers": ["x-one", "x-two"]});
        house.set_to(json!({"plugin": "hello", "version": "2.0.0", "grant": grant, "config": config})).await
    };
    set(json!({"a": 1})).await.unwrap();
    assert_eq!(&house.mount().live().unwrap().config[..], br#"{"a":1}"#);
    match set(json!({"b": 1})).await {
        Err(Refusal::Invalid(problems)) => {
            assert_eq!(problems[0].at, "/config");
            assert!(problems[0].message.contains("waits"), "{problems:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(&house.mount().live().unwrap().config[..], br#"{"a":1}"#);
}
