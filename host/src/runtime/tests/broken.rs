//! The breaker.

use std::time::Duration;

use crate::runtime::{
    Fault,
    breaker::Breaker,
    testing::{Bench, engine},
};

const SECOND: Duration = Duration::from_secs(1);

fn resting(ended: Result<impl std::fmt::Debug, Fault>) -> Duration {
    match ended {
        Err(Fault::Resting(wait)) => wait,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_plugin_of_which_no_instance_can_be_made_rests_and_is_tried_again() {
    let mut bench = Bench::new();
    let plugin = bench.compile(engine("", "", "(call $ok)")).await;
    let enough = std::mem::replace(&mut bench.call.bounds.memory, 64 << 10);
    for _ in 0..5 {
        assert!(matches!(bench.run(&plugin, "a").await, Err(Fault::Limit("memory"))));
    }
    assert_eq!(resting(bench.run(&plugin, "a").await), SECOND);
    assert!(plugin.stats().resting);
    // Another mount of the same plugin has a breaker of its own.
    assert!(matches!(bench.run(&plugin.for_another_mount(), "a").await, Err(Fault::Limit("memory"))));

    bench.hand.advance(SECOND);
    assert!(matches!(bench.run(&plugin, "a").await, Err(Fault::Limit("memory"))), "one is let through");
    assert_eq!(resting(bench.run(&plugin, "a").await), SECOND * 2);
    bench.call.bounds.memory = enough;
    bench.hand.advance(SECOND);
    assert_eq!(resting(bench.run(&plugin, "a").await), SECOND);
    bench.hand.advance(SECOND);
    assert!(bench.run(&plugin, "a").await.is_ok());
    assert!(bench.run(&plugin, "a").await.is_ok() && !plugin.stats().resting);
    assert_eq!(plugin.stats().ended["resting"], 3);
}

#[tokio::test]
async fn no_input_opens_the_breaker() {
    let bench = Bench::new();
    for body in ["(unreachable)", "(call $answer (i32.const 0) (i32.const -1))", "(call $refuse)"] {
        let plugin = bench.compile(engine("", "", body)).await;
        for _ in 0..20 {
            let ended = bench.run(&plugin, "a").await;
            assert!(matches!(ended, Err(Fault::Trap(_) | Fault::Invalid(_) | Fault::Refused(_))), "{ended:?}");
        }
    }
}

#[test]
fn one_call_at_a_time_tries_and_one_that_is_given_up_leaves_it_to_the_next() {
    let bench = Bench::new();
    let breaker = Breaker::new(bench.clock.clone());
    let early = breaker.admit().unwrap();
    (0..5).for_each(|_| breaker.admit().unwrap().failed());
    bench.hand.advance(SECOND);
    let trial = breaker.admit().unwrap();
    assert!(breaker.admit().is_err());
    drop(trial);
    let trial = breaker.admit().unwrap();
    assert!(breaker.admit().is_err());
    trial.failed();
    // What was on its way before does not prolong it, and a success among it ends it.
    early.failed();
    bench.hand.advance(SECOND * 2);
    breaker.admit().unwrap().succeeded();
    let (one, other) = (breaker.admit().unwrap(), breaker.admit().unwrap());
    one.succeeded();
    other.succeeded();
    assert!(!breaker.is_open());
}
