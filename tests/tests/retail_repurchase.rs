//! The retail example, played end to end: a year of a shop's log, and no harm done.

use anyhow::{Context, Result};
use perennial_remote::Client;
use perennial_tests::{binary, data_dir};
use player::{Options, Service, Story};
use retail_repurchase::{Frozen, MODEL, Shop, auc_after, first_labels, play};

/// Twice the standard error of an area under the curve on this log.
const NOISE: f64 = 0.006;

#[tokio::test(flavor = "multi_thread")]
async fn answers_rank_customers_as_well_as_the_frozen_first_version() -> Result<()> {
    let data = data_dir()?;
    let service = Service::start(&binary()?, data.path(), 0).await?;
    let client = Client::new(service.url())?;
    let shop = Shop::read()?;
    let figures = play(&client, &Options::default(), &shop, |_| {}).await?;
    let story = Story::read(&client, MODEL).await?;
    let fitted_on = first_labels(&client).await?;
    service.stop().await?;

    assert_eq!(figures.answers.len(), shop.purchases.len());
    let first = figures.answers.iter().position(|answer| answer.version.is_some());
    let first = first.context("a version answers from some purchase on")?;
    let served = auc_after(&shop, first, figures.answers.iter().map(|answer| answer.probability));
    let served = served.context("customers of both kinds")?;
    let frozen = Frozen::fit(&shop, fitted_on)?;
    // What the first version answered is what it answers without a service, to the last bit.
    for (answer, expected) in figures.answers.iter().zip(&frozen.answers) {
        if answer.version == Some(1) {
            assert_eq!(answer.probability.to_bits(), expected.to_bits());
        }
    }
    let frozen = auc_after(&shop, first, frozen.answers.into_iter()).context("customers of both kinds")?;
    assert!(served >= 0.764, "{served}");
    assert!(served >= frozen - NOISE, "{served} as answered, {frozen} frozen");
    assert!(story.row_visits <= 20_000, "{story:?}");
    Ok(())
}
