//! What does not fit is kept, and becomes an event when the schema has grown.

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use crate::cluster::{Sender, create, fresh};
use crate::registry::FakeRegistry;
use crate::world::{World, data_dir, events, perennial};

const FIELDS: &str = r#"{"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}"#;

fn schema(more: &str) -> String {
    format!(r#"{{"type": "record", "name": "Ride", "fields": [{FIELDS}{more}]}}"#)
}

fn project(topic: &str, registry: &str, columns: &str) -> String {
    format!(
        "kind: Project\nname: {topic}\n---\nkind: Source\nname: rides\n\
         schema: {{id: string, at: timestamp{columns}}}\nid: id\nevent_time: at\n\
         stream: {{kafka: {{topic: {topic}, format: avro, registry: \"{registry}\"}}}}\n"
    )
}

/// A value in Confluent's wire format: the id of its schema, and Avro.
fn ride(schema: u8, id: &str, zone: Option<&str>) -> Vec<u8> {
    let mut value = vec![0, 0, 0, 0, schema];
    let text = |text: &str, value: &mut Vec<u8>| {
        value.push(2 * text.len() as u8);
        value.extend_from_slice(text.as_bytes());
    };
    text(id, &mut value);
    // One second after 1970, as milliseconds in zigzag.
    value.extend_from_slice(&[0xd0, 0x0f]);
    if let Some(zone) = zone {
        text(zone, &mut value);
    }
    value
}

/// What the program prints, and whether it ended well.
fn run(arguments: &[&str]) -> Result<(bool, String)> {
    let output = perennial(arguments).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_is_kept_and_sent_again_after_the_schema_has_grown() -> Result<()> {
    let (topic, data, registry) = (fresh("poison"), data_dir()?, FakeRegistry::start().await?);
    create(&topic, 1).await?;
    registry.register(1, &schema(""));
    registry.register(2, &schema(r#", {"name": "zone", "type": "string"}"#));
    let narrow = project(&topic, &registry.address, "");
    let world = World::start(data.path())?;
    world.apply(&narrow).await?;
    let sender = Sender::new(&topic)?;
    sender.send(0, &ride(1, "a", None))?;
    sender.send(0, &ride(2, "b", Some("north")))?;
    sender.send(0, b"\x00\x00\x00\x00\x01\xff")?;
    sender.send(0, &ride(9, "c", None))?;
    sender.send(0, &ride(1, "d", None))?;
    sender.flush()?;
    let source = world.source(|source| source["dead_letters"] == 3 && source["lag"] == 0).await?;
    assert_eq!(source["trouble"], Json::Null);

    let server = ["--server", world.client.address()];
    let list = || -> Result<Vec<Json>> {
        let (well, text) = run(&[&["dead-letters", "list", "rides"], &server[..]].concat())?;
        let letters: Json = serde_json::from_str(&text).with_context(|| format!("{well}: {text}"))?;
        Ok(letters["items"].as_array().context("a list")?.clone())
    };
    let letters = list()?;
    let told: Vec<(&str, &Json)> = letters
        .iter()
        .map(|letter| (letter["reason"].as_str().unwrap_or_default(), &letter["offset"]))
        .collect();
    let new_field = "schema 2 does not fit the source: field \"zone\" (string) is new and never null; declare it as a \
                     column that may be missing";
    assert_eq!(
        told,
        [
            (new_field, &json!(1)),
            ("not Avro: column \"id\": it ends too early", &json!(2)),
            ("schema 9 is not in the registry", &json!(3)),
        ]
    );
    assert_eq!(letters[0]["topic"], topic.as_str());

    // The same is said before anything runs.
    let file = data.path().join("narrow.yaml");
    std::fs::write(&file, &narrow)?;
    let (well, text) = run(&["validate", &file.display().to_string()])?;
    assert!(!well && text.contains("field \"zone\" (string) is new and never null"), "{text}");

    let wide = project(&topic, &registry.address, ", zone: string?");
    world.apply(&wide).await?;
    std::fs::write(&file, &wide)?;
    let (well, text) = run(&["validate", &file.display().to_string()])?;
    assert!(well && text.contains("source \"rides\" fits subject"), "{text}");
    let redrive = || run(&[&["dead-letters", "redrive", "rides"], &server[..]].concat());
    let (well, text) = redrive()?;
    let redriven: Json = serde_json::from_str(&text).context(text.clone())?;
    assert!(
        well && redriven["accepted"] == 1
            && redriven["refused"].as_array().is_some_and(|refused| refused.len() == 2)
    );
    let again: Json = serde_json::from_str(&redrive()?.1)?;
    assert_eq!((&again["accepted"], list()?.len()), (&json!(0), 2), "a letter becomes an event once");

    // New messages of the wider schema are read as they come.
    sender.send(0, &ride(2, "e", Some("south")))?;
    sender.flush()?;
    world.source(|source| source["accepted"] == 3 && source["lag"] == 0).await?;
    world.stop()?;
    let at = "1970-01-01T00:00:01Z";
    let expected = [
        json!({"id": "a", "at": at}),
        json!({"id": "d", "at": at}),
        json!({"id": "b", "at": at, "zone": "north"}),
        json!({"id": "e", "at": at, "zone": "south"}),
    ];
    assert_eq!(events(data.path())?, expected);
    Ok(())
}
