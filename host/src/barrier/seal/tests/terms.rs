use super::*;

#[tokio::test]
async fn what_was_written_before_a_rotation_is_read_after_it() {
    let (nodes, barrier, key) = Nodes::key_file().await;
    write(&barrier, "a", "one").await.unwrap();
    for term in 2..5 {
        assert_eq!(barrier.rotate().await.unwrap(), term);
        write(&barrier, &format!("t{term}"), "new").await.unwrap();
    }
    let row = nodes.row("setting/t4").unwrap();
    assert_eq!(row.value[1..5], [0, 0, 0, 4], "the newest term is in use");
    let later = nodes.start();
    later.unseal_key(&key).await.unwrap();
    for node in [&barrier, &later] {
        for name in ["a", "t2", "t3", "t4"] {
            read(node, name).await.unwrap();
        }
    }
}

#[tokio::test]
async fn other_nodes_learn_of_a_term_when_they_meet_it() {
    let (nodes, barrier, key) = Nodes::key_file().await;
    let other = nodes.start();
    other.unseal_key(&key).await.unwrap();
    barrier.rotate().await.unwrap();
    write(&barrier, "a", "one").await.unwrap();
    assert_eq!(read(&other, "a").await.unwrap(), "one");
    write(&other, "b", "two").await.unwrap();
    assert_eq!(nodes.row("setting/b").unwrap().value[1..5], [0, 0, 0, 2]);
    assert_eq!(read(&barrier, "b").await.unwrap(), "two");
}

#[tokio::test]
async fn a_value_of_a_term_that_never_was_is_corrupt() {
    let (nodes, barrier, _) = Nodes::key_file().await;
    write(&barrier, "a", "one").await.unwrap();
    let mut entry = nodes.row("setting/a").unwrap();
    entry.value[4] = 9;
    nodes.storage.memory().tamper("setting/a", Some(entry));
    assert!(matches!(read(&barrier, "a").await, Err(Error::Corrupt(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_at_once_give_each_term_once() {
    let (nodes, barrier, key) = Nodes::key_file().await;
    let mut all = vec![barrier];
    for _ in 0..7 {
        let node = nodes.start();
        node.unseal_key(&key).await.unwrap();
        all.push(node);
    }
    let held = nodes.storage.hold().await;
    let each = all.iter().cloned().map(|node| tokio::spawn(async move { node.rotate().await }));
    let each: Vec<_> = each.collect();
    nodes.storage.so_many_wait(8).await;
    drop(held);
    let mut done = Vec::new();
    for rotation in each {
        match rotation.await.unwrap() {
            Ok(term) => done.push(term),
            Err(error) => assert!(matches!(error, Error::Conflict), "{error}"),
        }
    }
    assert_eq!(done, [2]);
    for (at, node) in all.iter().enumerate() {
        write(node, &at.to_string(), "value").await.unwrap();
    }
    for node in &all {
        for at in 0..all.len() {
            read(node, &at.to_string()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_rotation_that_failed_has_changed_nothing() {
    let (nodes, barrier, _) = Nodes::key_file().await;
    let before = nodes.storage.memory().dump();
    nodes.storage.fail_writes(true);
    assert!(matches!(barrier.rotate().await, Err(Error::Away(_))));
    nodes.storage.fail_writes(false);
    assert_eq!(nodes.storage.memory().dump(), before);
    write(&barrier, "a", "one").await.unwrap();
    assert_eq!(nodes.row("setting/a").unwrap().value[1..5], [0, 0, 0, 1]);
}

/// Killed between the commit and the answer: the node starts again and goes on.
#[tokio::test]
async fn a_rotation_of_which_nobody_heard_is_found_after_a_restart() {
    let (nodes, barrier, key) = Nodes::key_file().await;
    let held = nodes.storage.hold().await;
    let rotation = tokio::spawn({
        let barrier = barrier.clone();
        async move { barrier.rotate().await }
    });
    nodes.storage.somebody_waits().await;
    rotation.abort();
    drop(held);
    let _ = rotation.await;
    let later = nodes.start();
    later.unseal_key(&key).await.unwrap();
    nodes.storage.lose_answers(true);
    assert_eq!(later.rotate().await.unwrap(), 2);
    write(&later, "a", "one").await.unwrap();
    assert_eq!(read(&barrier, "a").await.unwrap(), "one");
}

#[tokio::test]
async fn a_node_sealed_while_it_learns_of_a_term_stays_sealed() {
    let (nodes, barrier, key) = Nodes::key_file().await;
    let other = nodes.start();
    other.unseal_key(&key).await.unwrap();
    barrier.rotate().await.unwrap();
    write(&barrier, "a", "one").await.unwrap();
    let held = nodes.storage.hold().await;
    let reader = tokio::spawn({
        let other = other.clone();
        async move { read(&other, "a").await }
    });
    nodes.storage.somebody_waits().await;
    other.seal(true).await.unwrap();
    drop(held);
    let _ = reader.await.unwrap();
    assert!(other.is_sealed());
}
