//! Upgrades one after the other, and what is still to be moved on from the versions before.

use super::*;

fn with_config(version: &str) -> String {
    let config = "\n[config]\ntype = \"object\"\n".escape_default().to_string();
    section(version).trim_end_matches("\")").to_owned() + &config + "\")"
}

/// Notes what it is to migrate from.
fn telling(version: &str) -> Vec<u8> {
    let body = r#"(call $put (i32.const 2200) (i32.const 1) (local.get 0) (local.get 1)
            (i32.const 0) (i64.const 0) (i32.const 2400))
        (i32.const 2128)"#;
    let more = format!("{} (data (i32.const 2200) \"f\")", with_config(version));
    maintained(PUT, &more, body)
}

/// Moves some on, and the rest when it finds `g`: until then it fails.
fn halting(version: &str) -> Vec<u8> {
    let body = r#"(call $get (i32.const 2200) (i32.const 1) (i32.const 2304))
        (if (i32.load8_u (i32.const 2312)) (then
            (call $get (i32.const 2210) (i32.const 1) (i32.const 2304))
            (if (i32.load8_u (i32.const 2312)) (then (return (i32.const 2128))))
            (unreachable)))
        (call $put (i32.const 2200) (i32.const 1) (i32.const 2200) (i32.const 1)
            (i32.const 0) (i64.const 0) (i32.const 2400))
        (i32.const 2112)"#;
    let more = format!("{} (data (i32.const 2200) \"m\") (data (i32.const 2210) \"g\")", with_config(version));
    maintained(&format!("{GET} {PUT}"), &more, body)
}

impl House {
    /// 1.0.0, and then this in its place.
    async fn upgraded(wasm: &[u8]) -> Self {
        let house = Self::new().await;
        house.upload(&guest("1.0.0", "(call $ok)")).await;
        house.upload(wasm).await;
        house.set("1.0.0").await.unwrap();
        house.set("2.0.0").await.unwrap();
        house
    }

    async fn configure(&self, version: &str) {
        self.set_to(json!({"plugin": "hello", "version": version, "config": {"a": 1}})).await.unwrap();
    }

    async fn held(&self, key: &str) -> Option<String> {
        let data = self.barrier.view(Prefix::Data(self.mount().id.clone()));
        let stored = data.get_bytes(key).await.unwrap()?;
        Some(String::from_utf8(stored.value.to_vec()).unwrap())
    }

    async fn migrate_all(&self) {
        for mount in self.mounts.unmigrated() {
            assert!(self.migrate(&mount).await.unwrap());
        }
        assert!(self.mounts.unmigrated().is_empty(), "done once");
        assert!(self.mount().previous.is_none(), "there is no way back");
    }
}

#[tokio::test]
async fn another_configuration_takes_the_way_back_and_leaves_what_is_to_be_moved_on() {
    let house = House::upgraded(&telling("2.0.0")).await;
    house.configure("2.0.0").await;
    let refused = house.set("1.0.0").await.unwrap_err();
    assert!(matches!(&refused, Refusal::Invalid(problems) if problems[0].code == "rollback_window"), "{refused:?}");
    assert!(house.mounts.unmigrated().is_empty(), "not within the window");
    house.hand.advance(limits::ROLLBACK_WINDOW);
    house.migrate_all().await;
    assert_eq!(house.held("f").await.as_deref(), Some("1.0.0"));
}

#[tokio::test]
async fn another_configuration_stops_no_migration_half_way() {
    let house = House::upgraded(&halting("2.0.0")).await;
    house.hand.advance(limits::ROLLBACK_WINDOW);
    let [mount] = &house.mounts.unmigrated()[..] else { panic!("one mount is due") };
    assert!(house.migrate(mount).await.is_err());
    assert!(house.held("m").await.is_some(), "it has begun");
    house.configure("2.0.0").await;
    let data = house.barrier.view(Prefix::Data(house.mount().id.clone()));
    let mut writes = Writes::default();
    data.put(&mut writes, "g", &1, None);
    house.store(writes).await;
    assert_eq!(house.mounts.unmigrated().len(), 1);
    house.migrate_all().await;
}

#[tokio::test]
async fn two_upgrades_move_on_what_the_first_version_has_left() {
    let house = House::upgraded(&telling("2.0.0")).await;
    house.upload(&telling("3.0.0")).await;
    house.set("3.0.0").await.unwrap();
    house.hand.advance(limits::ROLLBACK_WINDOW);
    house.migrate_all().await;
    assert_eq!(house.held("f").await.as_deref(), Some("1.0.0"));
    // From then on it is 3.0.0's.
    house.upload(&telling("4.0.0")).await;
    house.set("4.0.0").await.unwrap();
    house.hand.advance(limits::ROLLBACK_WINDOW);
    house.migrate_all().await;
    assert_eq!(house.held("f").await.as_deref(), Some("3.0.0"));
}

#[tokio::test]
async fn a_version_that_is_gone_back_to_moves_on_what_it_had_not() {
    for by_hand in [true, false] {
        let house = House::upgraded(&telling("2.0.0")).await;
        house.upload(&guest("3.0.0", "(unreachable)")).await;
        house.set("3.0.0").await.unwrap();
        match by_hand {
            true => house.set("2.0.0").await.unwrap(),
            false => {
                house.fail_for_several().await;
                assert_eq!(house.roll_back_all().await, 1);
            }
        }
        assert_eq!(house.live(), "2.0.0");
        house.hand.advance(limits::ROLLBACK_WINDOW);
        house.migrate_all().await;
        assert_eq!(house.held("f").await.as_deref(), Some("1.0.0"));
    }
}

#[tokio::test]
async fn a_version_that_is_gone_back_to_has_nothing_of_its_own_to_move_on() {
    let house = House::upgraded(&telling("2.0.0")).await;
    house.set("1.0.0").await.unwrap();
    house.hand.advance(limits::ROLLBACK_WINDOW);
    assert!(house.mounts.unmigrated().is_empty());
}
