//! Refusals that anybody can make any number of.

use std::time::Duration;

use super::*;

fn refusal(cause: &str, address: &str) -> Record {
    let (cause, address) = (Some(cause.to_owned()), address.parse().ok());
    Record { cause, address, ..Record::new(Phase::Refused, "token.create") }
}

impl Trail {
    async fn refuse(&self, count: usize, cause: &str, address: &str) {
        for _ in 0..count {
            self.audit.record(refusal(cause, address)).await.unwrap();
        }
    }

    fn summed(&self) -> serde_json::Value {
        let lines = self.lines();
        let sums: Vec<_> = lines.iter().filter(|line| line.contains("audit.summed")).collect();
        assert_eq!(sums.len(), 1);
        serde_json::from_str::<serde_json::Value>(sums[0]).unwrap()["values"].take()
    }
}

#[tokio::test]
async fn refusals_beyond_the_limit_are_summed_by_reason_and_block() {
    let trail = Trail::begin().await;
    trail.refuse(limits::ANONYMOUS_RECORDS as usize, "bad_token", "192.0.2.1").await;
    trail.refuse(3, "bad_token", "192.0.2.1").await;
    trail.refuse(2, "no_token", "::ffff:192.0.2.1").await;
    trail.refuse(1, "bad_token", "2001:db8::1").await;
    trail.refuse(1, "bad_token", "2001:db8::ffff:1").await;
    trail.refuse(1, "bad_token", "no address").await;
    assert_eq!(trail.lines().len(), 1 + limits::ANONYMOUS_RECORDS as usize);
    trail.audit.seal_head().await.unwrap();
    let expected = serde_json::json!({
        "bad_token 192.0.2.1/32": "3", "no_token 192.0.2.1/32": "2",
        "bad_token 2001:db8::/64": "2", "bad_token unknown": "1",
    });
    assert_eq!(trail.summed(), expected);
    trail.audit.seal_head().await.unwrap();
    trail.summed();
    assert_eq!(trail.first_break(&trail.lines()).await, None);
}

#[tokio::test]
async fn each_second_has_its_own_measure() {
    let trail = Trail::begin().await;
    for _ in 0..3 {
        trail.refuse(limits::ANONYMOUS_RECORDS as usize, "bad_token", "192.0.2.1").await;
        trail.hand.advance(Duration::from_secs(1));
    }
    assert_eq!(trail.lines().len(), 1 + 3 * limits::ANONYMOUS_RECORDS as usize);
}

#[tokio::test]
async fn a_refusal_of_somebody_is_never_summed() {
    let trail = Trail::begin().await;
    trail.refuse(limits::ANONYMOUS_RECORDS as usize, "bad_token", "192.0.2.1").await;
    let who = Who { user: Some(crate::ids::UserId::new()), ..Who::default() };
    trail.audit.record(Record { who, ..refusal("policy", "192.0.2.1") }).await.unwrap();
    assert!(trail.lines().last().unwrap().contains("policy"));
}

#[tokio::test]
async fn a_flood_of_addresses_fits_one_line() {
    let trail = Trail::begin().await;
    trail.refuse(limits::ANONYMOUS_RECORDS as usize, "bad_token", "192.0.2.1").await;
    for at in 0..5000 {
        trail.refuse(1, &"long ".repeat(100), &format!("2001:db8:{at:x}::1")).await;
    }
    trail.audit.seal_head().await.unwrap();
    let summed = trail.summed();
    assert_eq!(summed.as_object().unwrap().len(), limits::ANONYMOUS_BUCKETS + 1);
    assert_eq!(summed["others"], (5000 - limits::ANONYMOUS_BUCKETS).to_string());
}

#[tokio::test]
async fn a_sum_that_could_not_be_written_is_kept() {
    let trail = Trail::begin().await;
    trail.refuse(limits::ANONYMOUS_RECORDS as usize + 2, "bad_token", "192.0.2.1").await;
    let away = trail.folder.path().with_extension("away");
    fs::rename(trail.folder.path(), &away).unwrap();
    assert!(trail.audit.seal_head().await.is_err());
    trail.refuse(1, "bad_token", "192.0.2.1").await;
    fs::rename(&away, trail.folder.path()).unwrap();
    trail.audit.seal_head().await.unwrap();
    assert_eq!(trail.summed()["bad_token 192.0.2.1/32"], "3");
}
