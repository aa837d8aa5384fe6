//! Claims about keys: who is let in, and that nobody is locked out.

use std::sync::Arc;

use perennial_control::{ControlRecord, KeyAdded, KeyError, Keys, NewKey, Scope};
use perennial_types::{ContentHash, Kind, Secret, TimeSpan, Timestamp};

fn noon() -> Timestamp {
    Timestamp::parse("2026-01-01T12:00:00Z").unwrap()
}

fn wanted(name: &str, scopes: &[Scope]) -> NewKey {
    NewKey { name: name.to_owned(), scopes: scopes.to_vec(), expires_at: None }
}

/// Add a key; `seed` stands for the randomness of its making.
fn add(keys: &mut Keys, seed: u8, wanted: NewKey) -> (Arc<str>, Secret) {
    let (added, secret) = keys.create(wanted, &[seed; 32], noon()).unwrap();
    let id = Arc::clone(&added.id);
    keys.apply(&ControlRecord::KeyAdded(added));
    (id, secret)
}

fn revoke(keys: &mut Keys, id: &str) {
    let revoked = keys.revoke(id, noon()).unwrap();
    keys.apply(&ControlRecord::KeyRevoked(revoked));
}

#[test]
fn a_key_opens_its_scopes_and_admin_opens_all() {
    let mut keys = Keys::default();
    let (_, admin) = add(&mut keys, 1, wanted("admin", &[Scope::Admin]));
    let (id, shop) = add(&mut keys, 2, wanted("shop", &[Scope::Predict, Scope::Write]));
    for scope in Scope::ALL {
        assert!(keys.authorize(&admin, scope, noon()).is_ok(), "{scope:?}");
        let own = matches!(scope, Scope::Predict | Scope::Write);
        let answer = keys.authorize(&shop, scope, noon());
        let lacks = KeyError::Scope { id: Arc::clone(&id), scope };
        assert_eq!(answer.map(|key| &*key.added.id), if own { Ok(&*id) } else { Err(lacks) });
    }
}

#[test]
fn only_the_whole_secret_is_the_secret() {
    let mut keys = Keys::default();
    let (id, secret) = add(&mut keys, 1, wanted("admin", &[Scope::Admin]));
    let text = secret.reveal();
    assert!(text.starts_with(&format!("pk_{id}_")) && text.len() == "pk_".len() + 12 + 1 + 64, "{text}");
    let flipped = text.replace("01", "02");
    for wrong in
        ["", "pk_", &text[..text.len() - 1], &format!("{text}0"), &flipped, &text.to_uppercase(), &id]
    {
        let refused = keys.authorize(&Secret::new(wrong), Scope::Read, noon());
        assert_eq!(refused.unwrap_err(), KeyError::Stranger, "{wrong}");
    }
}

#[test]
fn the_state_and_its_records_hold_no_secret() {
    let mut keys = Keys::default();
    let (added, secret) = keys.create(wanted("admin", &[Scope::Admin]), &[7; 32], noon()).unwrap();
    keys.apply(&ControlRecord::KeyAdded(added.clone()));
    let random = secret.reveal().rsplit('_').next().unwrap();
    let record = serde_json::to_string(&ControlRecord::KeyAdded(added)).unwrap();
    for text in [record, serde_json::to_string(&keys).unwrap(), format!("{keys:?} {secret:?}")] {
        assert!(
            !text.contains(random) && text.contains(&*keys.iter().next().unwrap().added.id)
                || text.contains('…')
        );
        assert!(!text.contains(random), "{text}");
    }
}

#[test]
fn revoked_and_expired_keys_open_nothing_and_say_so() {
    let mut keys = Keys::default();
    add(&mut keys, 1, wanted("admin", &[Scope::Admin]));
    let end = noon() + TimeSpan::from_hours(1);
    let (id, brief) = add(&mut keys, 2, NewKey { expires_at: Some(end), ..wanted("brief", &[Scope::Read]) });
    let just_before = end - TimeSpan::from_micros(1);
    assert!(keys.authorize(&brief, Scope::Read, just_before).is_ok());
    let expired = KeyError::Expired { id: Arc::clone(&id) };
    assert_eq!(keys.authorize(&brief, Scope::Read, end).unwrap_err(), expired);
    revoke(&mut keys, &id);
    assert_eq!(
        keys.authorize(&brief, Scope::Read, just_before).unwrap_err(),
        KeyError::Revoked { id: Arc::clone(&id) }
    );
    assert_eq!(keys.revoke(&id, noon()).unwrap_err().kind(), Kind::Conflict);
}

#[test]
fn nobody_is_locked_out() {
    let mut keys = Keys::default();
    let refused = keys.create(wanted("shop", &[Scope::Predict]), &[1; 32], noon()).unwrap_err();
    assert_eq!(refused, KeyError::NoAdmin { name: "shop".to_owned() });
    let (admin, _) = add(&mut keys, 1, wanted("admin", &[Scope::Admin]));
    let (shop, _) = add(&mut keys, 2, wanted("shop", &[Scope::Predict]));
    assert_eq!(keys.revoke(&admin, noon()).unwrap_err(), KeyError::LastAdmin { id: Arc::clone(&admin) });
    revoke(&mut keys, &shop);
    revoke(&mut keys, &admin);
    assert!(!keys.wanted(), "without a key in force nobody is asked for one");
}

#[test]
fn an_expired_key_does_not_open_the_door_that_it_closed() {
    let mut keys = Keys::default();
    let end = noon() + TimeSpan::from_hours(1);
    add(&mut keys, 1, NewKey { expires_at: Some(end), ..wanted("admin", &[Scope::Admin]) });
    assert!(keys.wanted() && keys.has_admin(noon()) && !keys.has_admin(end));
    assert!(keys.wanted());
}

#[test]
fn a_secret_from_elsewhere_is_adopted_once_unless_it_is_short_or_revoked() {
    let mut keys = Keys::default();
    let short = keys.adopt(&Secret::new("x".repeat(31)), noon()).unwrap_err();
    assert_eq!(short, KeyError::Short { length: 31 });
    let secret = Secret::new("0123456789abcdef0123456789abcdef");
    let added = keys.adopt(&secret, noon()).unwrap().unwrap();
    keys.apply(&ControlRecord::KeyAdded(added.clone()));
    assert!(keys.authorize(&secret, Scope::Admin, noon()).is_ok());
    assert_eq!(keys.adopt(&secret, noon()), Ok(None));
    assert!(!added.hash.to_string().contains(&*added.id), "the id tells nothing of the hash");
    revoke(&mut keys, &added.id);
    assert_eq!(keys.adopt(&secret, noon()), Err(KeyError::Revoked { id: added.id }));
}

#[test]
fn ids_do_not_collide_even_where_randomness_repeats() {
    let mut keys = Keys::default();
    let (first, _) = add(&mut keys, 9, wanted("a", &[Scope::Admin]));
    let (second, _) = add(&mut keys, 9, wanted("b", &[Scope::Admin]));
    assert_ne!(first, second);
}

#[test]
fn malformed_keys_are_refused_by_name() {
    let keys = Keys::default();
    let detail = |wanted: NewKey| keys.create(wanted, &[1; 32], noon()).unwrap_err().to_string();
    assert_eq!(
        detail(wanted("a", &[])),
        "key \"a\" opens nothing: give it scopes of read, predict, write, admin"
    );
    for name in ["", " ", "a\nb", &"x".repeat(101)] {
        assert!(detail(wanted(name, &[Scope::Admin])).starts_with("the name of a key is a text"), "{name:?}");
    }
    let past = NewKey { expires_at: Some(noon()), ..wanted("a", &[Scope::Admin]) };
    assert!(detail(past).contains("which is past"));
    assert_eq!(Scope::named("raed").unwrap_err(), "no scope \"raed\"; did you mean \"read\"?");
}

#[test]
fn the_first_record_of_an_id_counts() {
    let mut keys = Keys::default();
    let (id, secret) = add(&mut keys, 1, wanted("admin", &[Scope::Admin]));
    let other = KeyAdded {
        at: noon(),
        id: Arc::clone(&id),
        name: "other".into(),
        hash: ContentHash::of(b"other"),
        scopes: vec![Scope::Read],
        expires_at: None,
    };
    keys.apply(&ControlRecord::KeyAdded(other));
    assert!(keys.authorize(&secret, Scope::Admin, noon()).is_ok());
}
