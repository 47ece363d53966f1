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
