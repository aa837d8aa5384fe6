#!/usr/bin/env python3
"""Draw the bundled sample from a generated stream: sample.py DIR payments.csv.gz

Whole accounts are kept, so that an account's windows are what they were. Of accounts with at most 30 payments
these are all that were opened for a burst and had a fraud, one in five of the others that had one, and one in
two hundred of the rest, by the CRC-32 of their ids.
Rows stay in the order of arrival, redelivered ones included; each has its label and when it is known.
"""
import collections, csv, gzip, sys, zlib

source, target = sys.argv[1:]
labels = {row["event_id"]: row for row in csv.DictReader(open(f"{source}/labels.csv"))}
rows = list(csv.DictReader(open(f"{source}/events.csv")))
payments = collections.Counter(row["user_id"] for row in rows)
frauds = {row["user_id"] for row in rows if labels[row["event_id"]]["label"] == "1"}


def kept(user):
    # The generator numbers accounts that are opened for a burst after all others (--users).
    share = 200 if user not in frauds else 1 if int(user[1:]) >= 500_000 else 5
    return payments[user] <= 30 and zlib.crc32(user.encode()) % share == 0


columns = ["event_id", "event_ms", "arrival_ms", "user_id", "merchant_id", "channel", "amount", "device_new"]
with gzip.GzipFile(target, "wb", 9, mtime=0) as out:
    out.write((",".join(columns + ["label", "label_ms"]) + "\n").encode())
    for row in rows:
        if kept(row["user_id"]):
            label = labels[row["event_id"]]
            line = [row[column] for column in columns] + [label["label"], label["label_ms"]]
            out.write((",".join(line) + "\n").encode())
