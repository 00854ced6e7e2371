#!/bin/bash
# Builds the fuzz targets with libFuzzer, ASan and UBSan, and runs each for the given number of seconds.
# Crashing inputs, and the corpus that the next run goes on from, stay in build/fuzz.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
python=${PYTHON:-.venv/bin/python}
data=${JPEGFREQ_DATA:-../shared/data}
build=build/fuzz

type clang++ > /dev/null || { echo "libFuzzer comes with clang, and there is no clang++ here"; exit 1; }
mkdir -p "$build/crashes"
"$python" -m cmake -S tests/fuzz -B "$build/fuzzer" -DCMAKE_CXX_COMPILER=clang++ -DENGINE=fuzzer > "$build/cmake.log"
"$python" -m cmake --build "$build/fuzzer" -j 2 > "$build/build.log" || { tail -n 40 "$build/build.log"; exit 1; }

seeds=()
for folder in "$data/hostile" "$data/odd"; do
    if [ -d "$folder" ]; then seeds+=("$folder"); fi
done
[ ${#seeds[@]} -gt 0 ] || echo "No seeds: $data/hostile and odd are missing; the fuzzer starts from nothing."

failed=()
# Every path of the run-time dispatch: what this machine has, and the plain C++ that others run.
for run in header: coefficients: coefficients:generic batch: batch:generic resample: resample:generic; do
    target=${run%%:*}
    echo "== $run $seconds s"
    mkdir -p "$build/corpus/$target"
    # 12 images of a batch, three decodes each, stay far below the time limit at this length.
    JPEGFREQ_INSTRUCTION_SET=${run##*:} "$build/fuzzer/fuzz_$target" "$build/corpus/$target" "${seeds[@]}" \
        -max_total_time="$seconds" -max_len=16384 -timeout=5 -rss_limit_mb=2048 -dict=tests/fuzz/jpeg.dict \
        -artifact_prefix="$build/crashes/$target-" -print_final_stats=1 > "$build/$target.log" 2>&1 || failed+=("$run")
    grep -E 'stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)|^SUMMARY|violated' "$build/$target.log" || true
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}; the inputs are in $build/crashes, the logs beside it"
    exit 1
fi
