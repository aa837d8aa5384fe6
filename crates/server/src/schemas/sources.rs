//! Forms of sources and dead letters.

use super::{Fields, instant, list_of, nullable, reference, text, truth, whole};

/// The forms with their names.
pub(super) fn schemas() -> Vec<(&'static str, Fields)> {
    vec![
        ("Source", source()),
        ("DeadLetter", letter()),
        ("Redriven", redriven()),
        ("StillRefused", still_refused()),
    ]
}

fn source() -> Fields {
    Fields::new("A declared source, and how reading it goes.")
        .always("name", text("Its name."))
        .always(
            "topic",
            nullable(text("The topic of Kafka that it is read from; null if its rows are sent.")),
        )
        .always(
            "follows_from",
            list_of(text("A source that its rows follow from; of one that rows come to there is none.")),
        )
        .always("partitions", nullable(whole("Partitions of the topic that are read here.")))
        .always("lag", nullable(whole("Messages that are not in the log yet; null while that is not known.")))
        .always("trouble", nullable(text("What keeps it from being read; null if nothing does.")))
        .always("accepted", nullable(whole("Messages that became events since the service was started.")))
        .always("duplicates", nullable(whole("Messages since then that were events already.")))
        .always("refused", nullable(whole("Messages since then that were refused.")))
        .always("dead_letters", whole("Rows that were refused and are no events yet."))
        .always("redriven", whole("Rows that were refused and became events later."))
        .always("events", whole("Events of the log."))
        .always(
            "late_events",
            whole("Those of them from before the watermark when they came; they count all the same."),
        )
        .always("newest", nullable(instant("The newest event time, none later than it became known.")))
        .always("watermark", nullable(instant("The event time before which no more events are expected.")))
        .always(
            "idle",
            truth("Whether nothing has come for so long that the project's watermark does not wait for it."),
        )
}

fn letter() -> Fields {
    Fields::new("A row that was refused.")
        .always("position", whole("Where it stands in the log."))
        .always("at", instant("When it was refused."))
        .always("reason", text("Why, and what would help."))
        .maybe("line", whole("Of a row that was sent: its line in the body, from 1."))
        .maybe("topic", text("Of a message: its topic."))
        .maybe("partition", whole("Of a message: its partition."))
        .maybe("offset", whole("Of a message: its offset."))
        .maybe("timestamp", whole("Of a message: its timestamp, in microseconds since 1970 UTC."))
        .always("payload", text("What was sent; bytes that are no UTF-8 are replaced."))
}

fn redriven() -> Fields {
    Fields::new("What became of dead letters that were sent again.")
        .always("accepted", whole("Letters that are events now."))
        .always("duplicates", whole("Letters whose events were there already."))
        .always("refused", list_of(reference("StillRefused")))
}

fn still_refused() -> Fields {
    Fields::new("A letter that is refused still.")
        .always("position", whole("Where it stands in the log."))
        .always("reason", text("Why, as the source is declared now."))
}
