//! Rows of the store that do not open.

use super::*;

impl House {
    /// One bit of what is stored there is another one.
    fn flip(&self, key: &str) {
        let (_, mut entry) = self.memory.dump().into_iter().find(|(found, _)| found == key).expect("it is stored");
        *entry.value.last_mut().expect("a byte") ^= 1;
        self.memory.tamper(key, Some(entry));
    }

    /// Starts anew, and tells the health of both mounts; the other one answers.
    async fn restarted(&self) -> (Health, Health) {
        let catalog = Catalog::open(Vec::new(), &self.barrier).unwrap();
        let options = Options { calls: 8, calls_each: 4, queue: 4, passwords: 1 };
        let runtime = Runtime::new(self.clock.clone(), options).unwrap();
        let parts = (&self.barrier, &self.clock, &self.fence);
        let node = Mounts::new(parts, self.documents.clone(), self.security.clone(), catalog, runtime);
        node.refresh().await.unwrap();
        let mount = |name: &MountName| node.get(Kind::Secrets, name).expect("it is a mount");
        let other = mount(&other());
        let health = |mount: &Mount| node.condition(mount).health;
        if other.live().is_ok() {
            let Handle(asked) = request("read", "a", "");
            node.call(&other, Facts::default(), "a").unwrap().run(Handle(asked)).await.unwrap();
        }
        (health(&mount(&name())), health(&other))
    }
}

fn other() -> MountName {
    MountName::parse("other").unwrap()
}

/// Two mounts, of a plugin each.
async fn two() -> House {
    let house = House::new().await;
    house.upload(&guest("1.0.0", "(call $ok)")).await;
    house.upload(&engine("", &section("1.0.0").replace("hello", "other"), "(call $ok)")).await;
    house.set("1.0.0").await.unwrap();
    house.set_value(other(), json!({"plugin": "other", "version": "1.0.0"})).await.unwrap();
    assert_eq!(house.restarted().await, (Health::Ok, Health::Ok));
    house
}

#[tokio::test]
async fn what_cannot_be_read_of_one_mount_or_plugin_leaves_all_others_as_they_are() {
    for row in ["plugin/hello/1.0.0", "setting/secrets/hello", "mount/secrets/hello"] {
        let house = two().await;
        house.flip(row);
        assert_eq!(house.restarted().await, (Health::Broken, Health::Ok), "{row}");
        // And whatever changes on a node that goes on is in force.
        house.set_value(other(), json!({"plugin": "other", "version": "1.0.0", "enabled": false})).await.unwrap();
        assert_eq!(house.restarted().await, (Health::Broken, Health::Disabled), "{row}");
    }
    let house = two().await;
    house.flip("setting/secrets/hello");
    house.flip("mount/secrets/hello");
    assert_eq!(house.restarted().await, (Health::Broken, Health::Ok));
}
