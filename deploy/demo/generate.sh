#!/bin/sh
# Makes the tables that cut_slice.py cuts the demo history from, with the simulator that the history comes from.
#
#   deploy/demo/generate.sh WORK_DIR
#   python deploy/demo/cut_slice.py WORK_DIR/export workers/local/demo/data/crm5_slice.jsonl.gz
#
# Needs Python 3.11 or 3.12 (`PYTHON=...`), PostgreSQL's server programs (`PG_BIN=...`, else the newest under
# /usr/lib/postgresql), and about 2 minutes. PostgreSQL runs on loopback only, with its data in WORK_DIR, and
# is stopped at the end; it refuses to run as root, and so does this script.
#
# fightchurn has its own virtual environment because it pins old libraries. Its seed fixes the accounts'
# rates and plans but not the time and user of each event, which it draws from an unseeded generator: a new run
# gives a history of the same kind, not the same history. The bundled slice is from an earlier run with the same
# version, seed and number of customers, and a span of about six months: 200 accounts, where this one made 190.
# The cut itself is deterministic.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 WORK_DIR" >&2; exit 2; }
[ "$(id -u)" -ne 0 ] || { echo "$0: run it as an ordinary user; PostgreSQL refuses root" >&2; exit 2; }

PYTHON=${PYTHON:-python3}
PG_BIN=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
[ -x "$PG_BIN/initdb" ] || { echo "$0: no initdb in '$PG_BIN'; install PostgreSQL or set PG_BIN" >&2; exit 2; }
mkdir -p "$1"
WORK=$(cd "$1" && pwd)
PORT=${PORT:-15433}
export TMPDIR="$WORK/tmp" CHURN_OUT_DIR="$WORK/out" CHURN_DB=churn CHURN_DB_USER=postgres CHURN_DB_PASS=churn
export CHURN_DB_HOST=127.0.0.1 PGPORT="$PORT" PGPASSWORD=churn
# The simulator numbers accounts in a file of the temporary folder and writes below CHURN_OUT_DIR: begin with neither.
rm -rf "$WORK/tmp" "$WORK/out" "$WORK/db" "$WORK/export"
mkdir -p "$WORK/tmp" "$WORK/out/crm5" "$WORK/export"

[ -x "$WORK/venv/bin/python" ] || "$PYTHON" -m venv "$WORK/venv"
"$WORK/venv/bin/python" -m pip install -q 'fightchurn==1.2.0' 'setuptools<81'

printf '%s' "$PGPASSWORD" >"$WORK/tmp/password"
"$PG_BIN/initdb" -D "$WORK/db" -U postgres -A md5 --pwfile="$WORK/tmp/password" >"$WORK/initdb.log"
"$PG_BIN/pg_ctl" -D "$WORK/db" -w -l "$WORK/postgres.log" \
    -o "-c listen_addresses=127.0.0.1 -c port=$PORT -c unix_socket_directories=" start
trap '"$PG_BIN/pg_ctl" -D "$WORK/db" -m fast stop' EXIT
"$PG_BIN/createdb" -h 127.0.0.1 -U postgres churn

(cd "$WORK" && "$WORK/venv/bin/python" -m fightchurn.churnsim.churnsim --config-name crm5 \
    init_customers=150 random_seed=11 start_date=2025-11-01 end_date=2026-05-01 force=True)

export_table() {
    "$PG_BIN/psql" -h 127.0.0.1 -U postgres -d churn -q -c "\\copy ($2) to '$WORK/export/$1.csv' csv header"
}
export_table events "select account_id, user_id, event_time, event_type_name, event_value
 from crm5.event join crm5.event_type using (event_type_id) order by event_time, account_id, user_id, event_type_id"
export_table subscriptions "select account_id, product, start_date, end_date, mrr, quantity, units, bill_period_months,
 discount from crm5.subscription order by account_id, start_date, product"
export_table accounts "select id, channel, date_of_birth, country from crm5.account order by id"
wc -l "$WORK"/export/*.csv
