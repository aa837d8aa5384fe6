//! What Perennial must not be worse than: the first version, kept as it is.

use anyhow::{Context, Result};
use perennial_learn::Fitted;
use perennial_learn::metrics::roc_auc;
use perennial_remote::{Client, VersionRef};
use player::Declared;

use crate::data::{MODEL, Shop, project};
use crate::play::{by_label, history};

/// The answers of a first version that is never trained again.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// For every purchase in order, those before its fit included.
    pub answers: Vec<f64>,
}

impl Frozen {
    /// Fit the declared learner on the first labels of the log, and let it answer everything.
    ///
    /// # Errors
    /// When features or learner refuse the bundled log.
    pub fn fit(shop: &Shop, first_labels: usize) -> Result<Self> {
        let declared = Declared::read(&project())?;
        let model = declared.model(MODEL)?;
        let (asked, sent) = history(shop);
        let rows = declared.rows(model, &asked, &sent)?;
        let order = by_label(&shop.purchases);
        let first = order.get(..first_labels).context("the log has fewer labels")?;
        let training: Vec<_> = first.iter().map(|index| rows[*index].clone()).collect();
        let labels: Vec<f64> = first.iter().map(|index| shop.purchases[*index].label()).collect();
        let fitted = Fitted::fit(&model.fit, &training, &labels)?;
        let answers = rows.iter().map(|row| fitted.predict(row)).collect::<Result<_, _>>()?;
        Ok(Self { answers })
    }
}

/// How many labels the first version was fitted on, as the service tells it.
///
/// # Errors
/// When there is no first version.
pub async fn first_labels(client: &Client) -> Result<usize> {
    let version = client.version(MODEL, VersionRef::Number(1)).await.context("reading the first version")?;
    let dataset = version.dataset.context("the first version has no training set")?;
    let dataset = client.ask(&format!("/v1/datasets/{dataset}"), &[]).await?;
    let rows = dataset["rows"].as_u64().context("a training set has rows")?;
    Ok(usize::try_from(rows)?)
}

/// The area under the ROC curve of the answers to labelled purchases from the first one on that a version
/// answered for; nothing if there is none.
pub fn auc_after(shop: &Shop, first: usize, answers: impl Iterator<Item = f64>) -> Option<f64> {
    let scored = shop.purchases.iter().zip(answers).skip(first).filter(|(purchase, _)| purchase.labelled);
    let (answers, labels): (Vec<f64>, Vec<f64>) =
        scored.map(|(purchase, answer)| (answer, purchase.label())).unzip();
    roc_auc(&answers, &labels)
}
