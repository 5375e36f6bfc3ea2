//! Incidents that the version before kept by service and class, or one for each need.

use mape_k::domain::incident::{Anchor, Incident, Resolution};
use mape_k::domain::need::Need;
use mape_k::knowledge::Knowledge;

use super::{Form, each, world};

const OLDER: &str = "INC-20260301_025830-001";
const NEWER: &str = "INC-20260301_025900-001";
const CLUSTER: &str = "INC-20260301_025700-001";

#[tokio::test]
async fn r11_incidents_of_before_get_their_anchor_and_those_of_one_anchor_become_the_oldest() {
    each(async |form: Form| {
        let mut world = world(&["policy pending", "violation", "incidents"], form).await;
        world.config.plan.approval_ttl = std::time::Duration::from_hours(1);
        world.latency(1.5);
        world.start().await;
        world.cycles(3).await;
        world.stop().await;

        let knowledge = Knowledge::open(&world.config.knowledge).await.expect("the store");
        let incident = async |id: &str| {
            let stored = knowledge.get::<Incident>(id).await.expect("readable");
            stored.expect("kept").0
        };
        let older = incident(OLDER).await;
        assert!(older.is_open(), "{form:?}: {older:#?}");
        assert_eq!(older.anchor.as_str(), "charter", "{form:?}");
        assert_eq!(older.thread.as_ref().expect("its own").ts, "1.1", "{form:?}");
        let newer = incident(NEWER).await;
        assert_eq!(newer.resolution, Some(Resolution::MergedInto(OLDER.to_owned())), "{form:?}");
        let needs = knowledge.all::<Need>(Some("open")).await.expect("readable");
        assert_eq!(needs.len(), 2, "{form:?}: {needs:#?}");
        let its = |need: &Need| need.incident.as_deref() == Some(OLDER);
        assert!(needs.iter().all(its), "{form:?}: open needs have found theirs: {needs:#?}");

        // Nobody looks at the cluster any more, so nobody says that it recovered.
        let cluster = incident(CLUSTER).await;
        let payments = "kubernetes/shop/deployment/payments".parse().expect("a target");
        assert_eq!(cluster.anchor, Anchor::of(&payments), "{form:?}");
        assert_eq!(cluster.resolution, Some(Resolution::Vanished), "{form:?}");
        let all = knowledge.all::<Incident>(None).await.expect("readable");
        assert_eq!(all.len(), 3, "{form:?}: none was opened beside them: {all:#?}");
        knowledge.close().await;
    })
    .await;
}
