//! Mounts that lend: what takes back what is out, and for how long its plugin is kept for that.

use std::collections::HashSet;

use super::*;
use crate::{ids::MountId, runtime::testing::lender};

async fn attends(house: &House, id: &MountId) -> bool {
    house.mounts.attend(id, Facts::default(), "a").await.is_ok()
}

#[tokio::test]
async fn the_plugin_of_a_mount_that_is_off_is_kept_as_long_as_it_is_needed() {
    let house = House::new().await;
    house.upload(&lender("", &section("1.0.0"), "(call $ok)")).await;
    house.set("1.0.0").await.unwrap();
    let id = house.mount().id.clone();
    let (lends, none) = (HashSet::from([id.clone()]), HashSet::new());
    let off = json!({"plugin": "hello", "version": "1.0.0", "enabled": false});
    for back in [true, false] {
        house.set_to(off.clone()).await.unwrap();
        assert!(attends(&house, &id).await);
        house.mounts.attend_only(&lends);
        assert_eq!(house.mounts.attending(), 1, "something is out");
        match back {
            true => {
                house.set("1.0.0").await.unwrap();
                house.mounts.attend_only(&lends);
            }
            false => house.mounts.attend_only(&none),
        }
        assert_eq!(house.mounts.attending(), 0);
    }
}

#[tokio::test]
async fn a_version_that_takes_nothing_back_is_known_to_come_after_one_that_does() {
    let house = House::new().await;
    house.upload(&lender("", &section("1.0.0"), "(call $ok)")).await;
    for version in ["2.0.0", "3.0.0"] {
        house.upload(&guest(version, "(call $ok)")).await;
    }
    let change = async |version: &str, enabled: bool| {
        let value = json!({"plugin": "hello", "version": version, "enabled": enabled});
        house.mounts.prepare(Kind::Secrets, name(), &value, false).await.unwrap()
    };
    assert!(change("1.0.0", true).await.forgets_leases().is_none());
    house.set("1.0.0").await.unwrap();
    assert!(change("1.0.0", true).await.forgets_leases().is_none());
    assert!(change("2.0.0", false).await.forgets_leases().is_none(), "it does not answer yet");
    assert_eq!(change("2.0.0", true).await.forgets_leases(), Some(&house.mount().id));
    house.set("2.0.0").await.unwrap();
    assert!(change("3.0.0", true).await.forgets_leases().is_none(), "that cannot be helped any more");
}

#[tokio::test]
async fn nothing_goes_back_by_itself_to_what_cannot_take_back_what_is_out() {
    for lends in [true, false] {
        let house = House::new().await;
        house.upload(&guest("1.0.0", "(call $ok)")).await;
        house.upload(&lender("", &section("2.0.0"), "(unreachable)")).await;
        house.set("1.0.0").await.unwrap();
        house.set("2.0.0").await.unwrap();
        house.fail_for_several().await;
        let [(mount, why)] = &house.mounts.failing()[..] else { panic!("one fails") };
        let back = house.mounts.roll_back(mount, why, lends).await.unwrap();
        assert_eq!((back.is_some(), house.live()), (!lends, if lends { "2.0.0" } else { "1.0.0" }.to_owned()));
        assert!(house.mounts.failing().is_empty(), "it is not tried for ever");
    }
}
