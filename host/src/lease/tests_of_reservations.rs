//! How much one user may hold.

use std::sync::Arc;

use super::{Error, testing::Bench};
use crate::{
    barrier::Writes,
    ids::{MountId, RequestId, SecretPath, UserId},
    limits,
    runtime::{Intent, Unnoted},
};

const MOST: usize = limits::LEASES_PER_USER;

#[tokio::test]
async fn a_user_holds_so_many_leases_of_a_mount_and_no_more() {
    let bench = Bench::new().await;
    let (borrower, mount) = (bench.borrower(1000), MountId::new());
    let room = async |mount: &MountId, user: &UserId| bench.nodes[0].reserve(mount, user, &RequestId::new()).await;
    for _ in 0..MOST {
        let _room = room(&mount, &borrower.user).await.unwrap();
        bench.lend_of((&mount, "db/a"), &borrower, 600).await;
    }
    assert!(matches!(room(&mount, &borrower.user).await, Err(Error::TooMany(MOST))));
    // Nor does a call that announces deeds, and never ends well, get around it.
    let noted = bench.journal.note(bench.intent(Some(&borrower.user), &mount)).await;
    assert!(matches!(noted, Err(Unnoted::TooMany)));
    // Somebody else is not concerned, nor is another mount.
    room(&mount, &UserId::new()).await.unwrap();
    room(&MountId::new(), &borrower.user).await.unwrap();
    bench.journal.note(bench.intent(Some(&borrower.user), &MountId::new())).await.unwrap();
    // What nobody has asked for is the mount's own.
    for _ in 0..MOST {
        bench.journal.note(bench.intent(None, &mount)).await.unwrap();
    }
    assert!(matches!(bench.journal.note(bench.intent(None, &mount)).await, Err(Unnoted::TooMany)));
    bench.journal.note(bench.intent(None, &MountId::new())).await.unwrap();
    assert!(bench.nodes[0].0.reservations.is_empty(), "nothing is under way");
}

/// As a call does it: a place, perhaps an announcement, and a lease in the batch that drops it.
async fn borrow(bench: &Bench, mount: &MountId, user: &UserId, announces: usize) -> bool {
    let borrower = super::Borrower { user: user.clone(), ..bench.borrower(1000) };
    let Ok(_room) = bench.nodes[0].reserve(mount, user, &borrower.request).await else { return false };
    let mut writes = Writes::default();
    for _ in 0..announces {
        tokio::task::yield_now().await;
        let intent = Intent { request: borrower.request.to_string(), ..bench.intent(Some(user), mount) };
        match bench.journal.note(intent).await {
            Ok(drops) => writes.merge(drops),
            // What it has announced before is undone some time.
            Err(Unnoted::TooMany) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    tokio::task::yield_now().await;
    let path = SecretPath::parse("db/a").unwrap();
    bench.nodes[0].issue(&mut writes, mount, &path, &borrower, super::testing::spec(60, 600));
    bench.barrier.commit(writes).await.unwrap();
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_race_hold_no_more_than_calls_one_after_another() {
    for announces in [0, 1, 3] {
        let (bench, mount, user) = (Arc::new(Bench::new().await), MountId::new(), UserId::new());
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..4 * MOST {
            let (bench, mount, user) = (bench.clone(), mount.clone(), user.clone());
            calls.spawn(async move { borrow(&bench, &mount, &user, announces).await });
        }
        let lent = calls.join_all().await.into_iter().filter(|lent| *lent).count();
        let held = bench.keys("lease/").await.len();
        assert!(lent <= held && held <= MOST && held > 0, "{lent} of {held}");
        assert!(bench.nodes[0].0.reservations.is_empty());
        // One after another fills it to the brim.
        while borrow(&bench, &mount, &user, announces.min(1)).await {}
        assert_eq!(bench.keys("lease/").await.len(), MOST);
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_its_place() {
    let bench = Bench::new().await;
    let (mount, user, request) = (MountId::new(), UserId::new(), RequestId::new());
    let taken: Vec<_> = {
        let mut taken = Vec::new();
        for _ in 0..MOST {
            taken.push(bench.nodes[0].reserve(&mount, &user, &request).await.unwrap());
        }
        taken
    };
    assert!(matches!(bench.nodes[0].reserve(&mount, &user, &request).await, Err(Error::TooMany(_))));
    // A refusal takes no place.
    assert!(matches!(bench.nodes[0].reserve(&mount, &user, &request).await, Err(Error::TooMany(_))));
    drop(taken);
    assert!(bench.nodes[0].0.reservations.is_empty());
    bench.nodes[0].reserve(&mount, &user, &request).await.unwrap();
}
