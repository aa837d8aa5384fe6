//! The payments example, played end to end: what went wrong outside, and what the service made of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use payments_fraud::{
    Answer, CONCEPT_CHANGE, CONCEPT_RETURN, Event, FLIPPED, Figures, MODELS, Told, payments, play,
};
use perennial_evaluate::SampleRatio;
use perennial_learn::metrics::roc_auc;
use perennial_remote::Client;
use perennial_tests::{binary, data_dir};
use perennial_types::{TimeSpan, Timestamp};
use player::{Options, Service};

#[tokio::test(flavor = "multi_thread")]
async fn drift_opens_an_episode_and_what_wrong_labels_taught_is_refused_or_rolled_back() -> Result<()> {
    let data = data_dir()?;
    let service = Service::start(&binary()?, data.path(), 0).await?;
    let client = Client::new(service.url())?;
    let figures = play(&client, &Options::default(), |_| {}).await?;
    let told = Told::read(&client, &MODELS).await?;
    let experiments = client.experiments().await?;
    let choices = client.choices("fraud").await?;
    service.stop().await?;

    assert_eq!(figures.answers.len(), payments()?.len());
    new_ways_are_learned(&figures)?;
    adapted_after_the_change(&told)?;
    refused_and_rolled_back(&told)?;
    assert_eq!(experiments.len(), 1, "{experiments:?}");
    // An account counts once, however many payments it makes.
    ensure!(choices.rows > 300 && choices.p_value.context("too few accounts")? > 0.001, "{choices:?}");
    accounts_are_split_evenly(&figures)
}

fn area(figures: &Figures, from: Timestamp, to: Timestamp) -> Result<f64> {
    let within = |answer: &&Answer| from <= answer.at && answer.at < to;
    let (probabilities, labels): (Vec<f64>, Vec<f64>) = figures
        .answers
        .iter()
        .filter(within)
        .map(|answer| (answer.probability, f64::from(u8::from(answer.fraud))))
        .unzip();
    roc_auc(&probabilities, &labels).context("both kinds of payments")
}

/// Large payments at new devices were the frauds; then small ones in bursts are.
fn new_ways_are_learned(figures: &Figures) -> Result<()> {
    let surprised = area(figures, CONCEPT_CHANGE, CONCEPT_CHANGE + TimeSpan::from_days(2))?;
    let learned = area(figures, CONCEPT_CHANGE + TimeSpan::from_days(8), FLIPPED[0].from)?;
    let later = area(figures, FLIPPED[1].to + TimeSpan::from_days(3), CONCEPT_RETURN)?;
    ensure!(surprised < 0.5 && learned > 0.65, "{surprised} after the change, {learned} once learned");
    ensure!(later > 0.55, "{later} after wrong labels twice");
    Ok(())
}

/// Labels come one to three days after the change, and an episode must last 18 hours before it is acted upon.
fn adapted_after_the_change(told: &Told) -> Result<()> {
    let adapted = |event: &&Event| event.trigger.as_deref() == Some("changed") && event.verdict == "started";
    for model in MODELS {
        let first = told.events.iter().filter(adapted).find(|event| event.model == model);
        let first = first.with_context(|| format!("{model} never adapted: {told:?}"))?;
        let days = TimeSpan::from_days;
        let near = CONCEPT_CHANGE + days(1) <= first.at && first.at <= CONCEPT_CHANGE + days(6);
        ensure!(near, "{model} adapted first at {}: {}", first.at, first.reason);
    }
    Ok(())
}

/// Judged on right labels a candidate of wrong ones is refused; judged on wrong ones it passes, and is rolled back.
fn refused_and_rolled_back(told: &Told) -> Result<()> {
    let between = |from, to| move |event: &&Event| from <= event.at && event.at < to;
    let refused: Vec<_> = told.of("refused").filter(between(FLIPPED[0].from, FLIPPED[1].from)).collect();
    ensure!(!refused.is_empty(), "nothing was refused: {told:?}");
    ensure!(refused.iter().all(|event| event.reason.contains("log_loss")), "{refused:?}");
    let end = FLIPPED[1].to + TimeSpan::from_days(5);
    let rolled_back: Vec<_> = told.of("rolled_back").filter(between(FLIPPED[1].to, end)).collect();
    ensure!(!rolled_back.is_empty(), "nothing was rolled back: {told:?}");
    let named = |event: &&Event| event.reason.contains("paired.relative_change");
    ensure!(rolled_back.iter().all(named), "{rolled_back:?}");
    Ok(())
}

/// While both models answer, each has half of the accounts, and an account stays where it is.
fn accounts_are_split_evenly(figures: &Figures) -> Result<()> {
    let arm =
        |answer: &Answer| MODELS.iter().position(|model| answer.by.as_ref().is_some_and(|by| by.0 == *model));
    let second = |answer: &Answer| arm(answer) == Some(1);
    let first = figures.answers.iter().position(second).context("the second model never answered")?;
    let last = figures.answers.iter().rposition(second).unwrap_or(first);
    let mut accounts: BTreeMap<&str, usize> = BTreeMap::new();
    for answer in &figures.answers[first..=last] {
        let Some(arm) = arm(answer) else { continue };
        let stays = *accounts.entry(&answer.user).or_insert(arm);
        ensure!(stays == arm, "account {} was moved at {}", answer.user, answer.at);
    }
    let mut ratio = SampleRatio::new(MODELS.len());
    accounts.values().for_each(|arm| ratio.chose(*arm, &[0.5, 0.5]));
    let p_value = ratio.p_value().context("too few accounts")?;
    ensure!(accounts.len() > 300 && p_value > 0.001, "p is {p_value} over {} accounts", accounts.len());
    Ok(())
}
