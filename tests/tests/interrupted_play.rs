//! One play of two years, undisturbed and killed twenty times, must be one history.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bike_demand::{Figures, hours, play};
use perennial_remote::{Choices, Client, Decision};
use perennial_tests::{Told, binary, data_dir, told};
use perennial_types::{Stream, Timestamp, unit_draw};
use player::{Options, Service};

const KILLS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_play_that_is_killed_twenty_times_ends_as_if_it_had_not_been() -> Result<()> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    println!("seed of the kills: {seed}");
    let (quiet, disturbed) = (data_dir()?, data_dir()?);
    let ((undisturbed_figures, choices), (disturbed_figures, disturbed_choices)) =
        tokio::try_join!(undisturbed(quiet.path()), killed(disturbed.path(), seed))?;
    let (expected, found) = (told(quiet.path())?, told(disturbed.path())?);

    let questions = hours()?.len();
    for (name, told) in [("undisturbed", &expected), ("killed", &found)] {
        complete(told, questions).with_context(|| format!("the {name} play (seed {seed})"))?;
    }
    assert_eq!(found.versions.last(), expected.versions.last(), "seed {seed}");
    assert_eq!(found, expected, "seed {seed}");
    assert_eq!(bits(&disturbed_figures), bits(&undisturbed_figures), "seed {seed}");
    assert!(disturbed_figures.repeated >= KILLS as u64 / 2, "the kills went unnoticed");

    assert_eq!(disturbed_choices, choices, "seed {seed}");
    // The probabilities of the experiment and of two hundred rollouts are those that versions were drawn with.
    let p_value = choices.p_value.context("too few choices")?;
    assert!(choices.rows > 3_000 && p_value > 0.001, "{choices:?}");

    for data in [quiet.path(), disturbed.path()] {
        no_skew(data)?;
    }
    Ok(())
}

fn bits(figures: &Figures) -> Vec<u64> {
    figures.answers.iter().map(|answer| answer.to_bits()).collect()
}

/// Everything that was acknowledged is there once, and every run has one outcome.
fn complete(told: &Told, questions: usize) -> Result<()> {
    for stream in [Stream::Event, Stream::Prediction, Stream::Feedback] {
        let ids: Vec<_> = told.ids.iter().filter(|((of, _), _)| *of == stream).collect();
        anyhow::ensure!(
            ids.len() == questions,
            "{} ids of {}, expected {questions}",
            ids.len(),
            stream.name()
        );
        for ((_, id), count) in ids {
            anyhow::ensure!(*count == 1, "{} {id:?} stands {count} times in the log", stream.name());
        }
    }
    anyhow::ensure!(told.outcomes.values().all(|count| *count == 1), "outcomes: {:?}", told.outcomes);
    anyhow::ensure!(told.outcomes.len() > 100, "only {} runs", told.outcomes.len());
    Ok(())
}

async fn undisturbed(data: &Path) -> Result<(Figures, Choices)> {
    let service = Service::start(&binary()?, data, 0).await?;
    let client = Client::new(service.url())?;
    let figures = play(&client, &Options::default(), |_| {}).await?;
    let choices = client.choices("bike").await?;
    first_versions_are_in_force_until_they_are_replaced(&client).await?;
    service.stop().await?;
    Ok((figures, choices))
}

/// What was decided about the versions of a model is in force until something else is.
async fn first_versions_are_in_force_until_they_are_replaced(client: &Client) -> Result<()> {
    for (at, first) in [("2011-03-19T12:00:00Z", true), ("2012-06-01T00:00:00Z", false)] {
        let then = client.why_then("bike-raw", Timestamp::parse(at)?).await?;
        let about = |decision: &&Decision| decision.about == "versions of bike-raw";
        let about: Vec<_> = then.decisions.iter().filter(about).collect();
        assert_eq!(about.len(), 1, "{}", then.sentence);
        assert_eq!(about[0].reason.contains("first version"), first, "{}", then.sentence);
        assert!(!then.sentence.contains("first version is due"), "{}", then.sentence);
    }
    Ok(())
}

/// The same play; the service is killed at random questions and started again on its port and directory.
async fn killed(data: &Path, seed: u64) -> Result<(Figures, Choices)> {
    let program = binary()?;
    let service = Service::start(&program, data, 0).await?;
    let url = service.url().to_owned();
    let port: u16 = url.rsplit(':').next().context("an address has a port")?.parse()?;
    let client = Client::new(&url)?;
    let (asked, mut asking) = tokio::sync::watch::channel(0_usize);
    let questions = hours()?.len();
    let mut moments: Vec<usize> = (0..KILLS)
        .map(|kill| (unit_draw(seed, &["question", &kill.to_string()]) * questions as f64) as usize)
        .collect();
    moments.sort_unstable();
    let killer = async {
        let mut service = service;
        for (kill, moment) in moments.into_iter().enumerate() {
            asking.wait_for(|asked| *asked >= moment).await?;
            // Anywhere within the next questions' requests, runs included.
            let wait = unit_draw(seed, &["wait", &kill.to_string()]) * 20.0;
            tokio::time::sleep(Duration::from_secs_f64(wait / 1000.0)).await;
            service.kill().await?;
            service = Service::start(&program, data, port).await?;
        }
        Ok::<Service, anyhow::Error>(service)
    };
    let options = Options { patience: Duration::from_secs(60) };
    let playing = play(&client, &options, |progress| {
        asked.send_replace(progress.done);
    });
    let (figures, service) = tokio::join!(playing, killer);
    let choices = client.choices("bike").await?;
    service?.stop().await?;
    Ok((figures?, choices))
}

/// The skew check in a process of its own, by other batches and shards than the service's.
fn no_skew(data: &Path) -> Result<()> {
    let output = Command::new(binary()?)
        .args(["skew", "--json", "--batch", "1013", "--shards", "5", "--data"])
        .arg(data)
        .output()?;
    let audit: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    assert_eq!(audit["differences"], serde_json::json!([]));
    assert_eq!(audit["not_compared"], 0);
    let predictions = audit["predictions"].as_u64().unwrap_or(0);
    assert_eq!(predictions, hours()?.len() as u64);
    assert!(audit["values"].as_u64().unwrap_or(0) >= 6 * predictions);
    assert!(output.status.success());
    Ok(())
}
