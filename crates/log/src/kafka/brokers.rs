//! How brokers are reached.

use perennial_types::{Secret, did_you_mean};
use rdkafka::config::ClientConfig;

use crate::LogError;

/// Addresses of brokers to begin with, and settings of the client, which is librdkafka: those of its
/// [CONFIGURATION.md](https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md), such as
/// `security.protocol`, `sasl.username` or `ssl.ca.location`. Values are not printed: some are secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers {
    addresses: String,
    settings: Vec<(String, Secret)>,
}

/// Settings on which it depends that every message becomes one event.
const OURS: [&str; 9] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.protocol",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "partition.assignment.strategy",
    "statistics.interval.ms",
];

impl Brokers {
    /// At `host:port`, more of them separated by commas, with settings.
    ///
    /// # Errors
    /// `Invalid` when a setting is one of our own, stands twice, or is none of the client's; the value is not told.
    pub fn new(addresses: impl Into<String>, settings: Vec<(String, Secret)>) -> Result<Self, LogError> {
        let addresses = addresses.into();
        for (index, (name, _)) in settings.iter().enumerate() {
            let refused = |reason: String| LogError::Setting { name: name.clone(), reason };
            if OURS.contains(&name.as_str()) {
                return Err(refused("it is set by the service, which reads every message once".to_owned()));
            }
            if settings[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(refused("it is given twice".to_owned()));
            }
        }
        let brokers = Self { addresses, settings };
        for (name, value) in &brokers.settings {
            let mut config = ClientConfig::new();
            config.set(name, value.reveal());
            if let Err(error) = config.create_native_config() {
                let reason = said(&error.to_string(), value.reveal());
                let known = SECURITY.into_iter().filter(|_| reason.contains("No such configuration"));
                let help = did_you_mean(name, known);
                return Err(LogError::Setting { name: name.clone(), reason: format!("{reason}{help}") });
            }
        }
        Ok(brokers)
    }

    /// The addresses, as they were given.
    pub fn addresses(&self) -> &str {
        &self.addresses
    }

    /// Set them.
    pub(super) fn configure(&self, config: &mut ClientConfig) {
        config.set("bootstrap.servers", &self.addresses);
        for (name, value) in &self.settings {
            config.set(name, value.reveal());
        }
    }
}

/// The names that are mistyped most: those that let a client in.
const SECURITY: [&str; 12] = [
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.ca.pem",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
];

/// What the client said of a setting, without its value.
fn said(error: &str, value: &str) -> String {
    if value.is_empty() { error.to_owned() } else { error.replace(value, "…") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(settings: &[(&str, &str)]) -> Result<Brokers, String> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
        Brokers::new("127.0.0.1:9092", settings.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_are_the_clients_own_and_secrets_are_not_told() {
        let given =
            brokers(&[("security.protocol", "sasl_plaintext"), ("sasl.password", "hunter2")]).unwrap();
        assert!(!format!("{given:?}").contains("hunter2"));
        let error = brokers(&[("sasl.pasword", "hunter2")]).unwrap_err();
        assert!(
            error.contains("\"sasl.pasword\"") && error.contains("did you mean \"sasl.password\"?"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
        let error = brokers(&[("security.protocol", "hunter2")]).unwrap_err();
        assert!(error.contains("\"security.protocol\"") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_the_service_depends_on_cannot_be_set() {
        assert_eq!(
            brokers(&[("enable.auto.commit", "true")]).unwrap_err(),
            "setting \"enable.auto.commit\" of the Kafka client: it is set by the service, which reads every message once"
        );
        assert!(brokers(&[("client.rack", "a"), ("client.rack", "b")]).unwrap_err().contains("given twice"));
    }
}
