#!/bin/sh
# Makes the four networks that ship, with their reports. Every step resumes: run it again after a stop or a kill.
#   CELLS=cells/manifest.csv FIELDS=fields/manifest.csv sh scripts/train_models.sh
# An hour on two cores, with half of ONLY in each of two shells: ONLY="cell-mobilenet field-mobilenet" and
# ONLY="cell-cnn field-cnn", then both once more for the reports. What it gave is told in docs/models.md.
set -eu
BIN=${BIN:-.venv/bin}
RUNS=${RUNS:-var/train}
BUNDLES=${BUNDLES:-mlcore/bundles}
VERSION=${VERSION:-2.0.0}
: "${CELLS:?the manifest of single cells}" "${FIELDS:?the manifest of microscope fields}"
CELL_TERMS="Johns Hopkins, Sidhom et al., npj Precision Oncology 2021 (DeepAPL discovery cohort); copyright line only, no licence granted: research use"
FIELD_TERMS="Taleqani Hospital, Tehran, Aria / Ghaderzadeh et al. 2021-22; research use, the authors ask not to redistribute the images"
# One thread for each run, so that two can go side by side; freed memory stays at hand for the next step.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000

mlcore() { "$BIN/python" -m mlcore "$@"; }
wanted() { case " ${ONLY:-$1} " in *" $1 "*) ;; *) return 1 ;; esac }

# cell NETWORK SETTINGS…: with the settings that the networks of this size are known to like.
cell() {
  name=cell-$1
  wanted "$name" || return 0
  of="--task cell --network $1 --manifest $CELLS --group patient_id --out $RUNS/$name"
  shift
  # shellcheck disable=SC2086
  mlcore train $of "$@" --batch 32 --augmentation 0.9 --tempering 0.6 --terms "$CELL_TERMS" --to "$BUNDLES/$name" \
    --version "$VERSION"
}

# field NETWORK EPOCHS SEARCH-EPOCHS OPTION…: with the settings that a search finds best.
field() {
  name=field-$1 network=$1 epochs=$2 short=$3
  wanted "$name" || return 0
  shift 3
  of="--task field --network $network --manifest $FIELDS --group block $*"
  # shellcheck disable=SC2086
  mlcore tune $of --epochs "$short" --size 64 --share 1 --minutes 2 --out "$RUNS/search-$name"
  # shellcheck disable=SC2086
  mlcore train $of --epochs "$epochs" --batch 32 --augmentation 0.5 --from-study "$RUNS/search-$name" \
    --terms "$FIELD_TERMS" --out "$RUNS/$name" --to "$BUNDLES/$name" --version "$VERSION"
}

cell mobilenet --epochs 10 --small-size 128
cell cnn --epochs 24 --bfloat16
field mobilenet 15 3
field cnn 36 4 --bfloat16

# report NAME OTHER MANIFEST GROUP: needs both networks of the task.
report() {
  [ -f "$RUNS/$1/checkpoint.pt" ] && [ -f "$RUNS/$2/checkpoint.pt" ] || return 0
  study=$([ ! -f "$RUNS/search-$1/study.json" ] || echo "--study $RUNS/search-$1")
  # shellcheck disable=SC2086
  mlcore evaluate $study --bundle "$BUNDLES/$1" --sibling "$BUNDLES/$2" --manifest "$3" --group "$4" \
    --held-out "$RUNS/$1" --out "$RUNS/report-$1"
}

report cell-mobilenet cell-cnn "$CELLS" patient_id
report cell-cnn cell-mobilenet "$CELLS" patient_id
report field-mobilenet field-cnn "$FIELDS" block
report field-cnn field-mobilenet "$FIELDS" block
