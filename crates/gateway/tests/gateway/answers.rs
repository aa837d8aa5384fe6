//! What is answered, and what is refused.

use perennial_control::{ControlRecord, Judged, RunVerdict, VersionRef};
use perennial_log::Durability;
use perennial_pipeline::Fallback;
use perennial_types::{ContentHash, Kind, Position, TimeSpan, Value};
use serde_json::{Value as Json, json};
use std::sync::Arc;

use crate::world::{World, copy_dir, minute};

#[test]
fn one_id_gets_one_reply_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.apply();
    let request = json!({"km": 3.0, "zone": "x"});
    let reply = world.predict("a", &request, minute(1)).unwrap();
    // A version that is promoted in between does not change what was answered.
    world.promote();
    let head = world.pipeline.head();
    assert_eq!(world.predict("a", &json!({"zone": "x", "km": 3}), minute(2)).unwrap(), reply);
    let reused = world.predict("a", &json!({"km": 4.0, "zone": "x"}), minute(2)).unwrap_err();
    assert_eq!(reused.kind(), Kind::Conflict);
    assert_eq!(
        reused.to_string(),
        "id \"a\" was used for another request to endpoint \"fare\"; an id names one request"
    );
    assert_eq!(world.pipeline.head(), head, "neither took a position");
    for clean in [true, false] {
        // With its snapshot, and without.
        if clean {
            world.runtime.block_on(world.pipeline.snapshot()).unwrap();
        } else {
            std::fs::remove_dir_all(dir.path().join("snapshots")).unwrap();
        }
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let again = World::open(copy.path());
        assert_eq!(again.predict("a", &request, minute(3)).unwrap(), reply);
        assert_eq!(
            again.predict("a", &json!({"km": 4.0, "zone": "x"}), minute(3)).unwrap_err().kind(),
            Kind::Conflict
        );
    }
}

#[test]
fn of_requests_of_one_id_at_one_time_the_first_queued_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.apply();
    let ask = |km: f64| {
        world.gateway.predict("fare", Some("a"), &json!({"km": km, "zone": "x"}), minute(1)).unwrap()
    };
    let queued = [ask(1.0), ask(1.0)].map(|asked| world.runtime.block_on(asked.answered()).unwrap());
    assert_eq!(queued[0], queued[1]);
}

#[test]
fn an_hour_later_an_id_is_a_new_request_and_keeps_its_new_reply() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.apply();
    let (request, other) = (json!({"km": 3.0, "zone": "x"}), json!({"km": 4.0, "zone": "x"}));
    let first = world.predict("a", &request, minute(0)).unwrap();
    assert_eq!(world.predict("a", &request, minute(60)).unwrap(), first);
    // Nothing was recorded in between: the age of the reply decides.
    let second = world.predict("a", &other, minute(61)).unwrap();
    assert_ne!(second.position, first.position);
    world.predict("b", &request, minute(62)).unwrap();
    world.settle();
    assert_eq!(world.predict("a", &other, minute(121)).unwrap(), second);
}

#[test]
fn without_a_version_the_default_is_answered_and_the_reason_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.apply();
    let reply = world.predict("a", &json!({"km": 3.0, "zone": "x"}), minute(1)).unwrap();
    assert_eq!((reply.prediction, reply.served, reply.fallback), (7.5, None, Some(Fallback::NoVersion)));
    let record = world.record(reply.position);
    assert_eq!((record.prediction, record.drawn, record.fallback), (7.5, None, Some(Fallback::NoVersion)));
}

#[test]
fn a_version_that_takes_longer_than_the_deadline_falls_back_to_the_default() {
    for (step, fallback) in [("10ms", None), ("21ms", Some(Fallback::Deadline))] {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open_with(dir.path(), TimeSpan::parse(step).unwrap());
        world.apply();
        world.promote();
        let reply = world.predict("a", &json!({"km": 3.0, "zone": "north"}), minute(1)).unwrap();
        assert_eq!((reply.fallback, reply.served.is_none()), (fallback, fallback.is_some()), "{step}");
        assert_eq!(reply.prediction == 7.5, fallback.is_some(), "{step}");
        assert!(world.record(reply.position).drawn.is_some(), "{step}");
    }
}

#[test]
fn a_promoted_version_answers_with_the_features_of_its_view() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.apply();
    let fitted = world.promote();
    world.ride("x", 9.0, minute(1));
    let reply = world.predict("a", &json!({"km": 3.0, "zone": "x"}), minute(2)).unwrap();
    assert_eq!(reply.prediction, fitted.predict(&[Value::Double(3.0), Value::Double(9.0)]).unwrap());
    let served = reply.served.unwrap();
    assert_eq!((&*served.model, served.number, reply.fallback), ("one", 1, None));
    assert_eq!(world.gateway.serving("fare").unwrap(), [served]);
}

#[test]
fn the_features_of_every_model_of_the_endpoint_are_recorded_as_served() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.apply();
    world.ride("x", 9.0, minute(1));
    world.ride("x", 11.0, minute(2));
    let reply = world.predict("a", &json!({"km": 3.0, "zone": "x"}), minute(3)).unwrap();
    let record = world.record(reply.position);
    let names: Vec<&str> = record.views.iter().map(|view| &*view.view).collect();
    assert_eq!(names, ["zone", "busy"]);
    for (view, value) in record.views.iter().zip([json!(10.0), json!(2)]) {
        assert_eq!((&view.key, view.seen), (&json!({"zone": "x"}), Position(3)));
        let features: Vec<&Json> = view.features.as_object().unwrap().values().collect();
        assert_eq!(features, [&value]);
        let selection = world.gateway.select([format!("{}.*", view.view).as_str()]).unwrap();
        let entity = selection.entity().decode_json(&json!({"zone": "x"})).unwrap();
        let (readings, _) = world.gateway.read(&selection, &[entity], minute(3)).unwrap();
        assert_eq!(readings[0].values[0].to_json(), value);
    }
    world.settle();
}

#[test]
fn a_fault_of_a_request_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.apply();
    let head = world.pipeline.head();
    for (request, message) in [
        (json!({"zone": "x"}), "request: column \"km\" is missing"),
        (json!({"km": "far", "zone": "x"}), "request: column \"km\" wants double, found \"far\""),
        (
            json!({"km": 1.0, "zone": "x", "nigt": true}),
            "request: unknown column \"nigt\"; did you mean \"night\"?",
        ),
    ] {
        let error = world.predict("a", &request, minute(1)).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Invalid, message));
    }
    let error = world.gateway.predict("far", None, &json!({}), minute(1)).err().unwrap();
    assert_eq!(
        (error.kind(), error.to_string()),
        (Kind::NotFound, "no endpoint \"far\"; did you mean \"fare\"?".into())
    );
    for (names, message) in [
        (&["zon.*"][..], "no feature view \"zon\"; did you mean \"zone\"?"),
        (&["zone"], "\"zone\" is no feature; write view.feature, or view.* for all of a view"),
        (&[], "name at least one feature, such as view.*"),
    ] {
        let error = world.gateway.select(names.iter().copied()).err().unwrap();
        assert_eq!(error.to_string(), message);
    }
    let error = world.gateway.select_for_model("fares").err().unwrap();
    assert!(error.to_string().starts_with("no model \"fares\""), "{error}");
    assert_eq!(world.pipeline.head(), head, "what is refused is not recorded");
}

#[test]
fn a_version_whose_artifact_is_gone_stops_the_service_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.apply();
    let definition = world.pipeline.declared().goal().unwrap().compiled.model("one").unwrap().definition;
    let (artifact, content_hash) = (ContentHash::of(b"gone"), ContentHash::of(b"state"));
    let judged = Judged {
        run: "run_1".into(),
        model: Arc::from("one"),
        at: minute(0),
        verdict: RunVerdict::Promoted,
        reason: String::new(),
        version: Some(VersionRef { number: 1, content_hash, artifact, definition }),
        first: true,
        endpoint: "fare".into(),
    };
    let records = [ControlRecord::Judged(judged)];
    let appended = world.pipeline.append_control(&records, minute(0), Durability::Synced);
    let error = world.runtime.block_on(appended).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains(&artifact.to_string()), "{error}");
}
