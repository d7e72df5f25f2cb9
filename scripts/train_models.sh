#!/bin/sh
# Makes the four networks that ship, with their reports. Every step resumes: run it again after a stop or a kill.
#   CELLS=cells/manifest.csv FIELDS=fields/manifest.csv FOREIGN=detection/annotations.csv sh scripts/train_models.sh
# About five hours of one core. On two cores run it in two shells: ONLY="cell-mobilenet" and
# ONLY="field-mobilenet field-cnn cell-cnn", then once more without ONLY for the reports. What it gave is told in docs/models.md.
set -eu
BIN=${BIN:-.venv/bin}
RUNS=${RUNS:-var/train}
BUNDLES=${BUNDLES:-mlcore/bundles}
: "${CELLS:?the manifest of single cells}" "${FIELDS:?the manifest of microscope fields}"
: "${FOREIGN:?boxes on fields of another laboratory, to ask whether the networks notice them}"
CELL_TERMS="Johns Hopkins, Sidhom et al., npj Precision Oncology 2021 (DeepAPL discovery cohort); copyright line only, no licence granted: research use"
FIELD_TERMS="Taleqani Hospital, Tehran, Aria / Ghaderzadeh et al. 2021-22; research use, the authors ask not to redistribute the images"
# One thread for each run, so that two can go side by side; freed memory stays at hand for the next step.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000

mlcore() { "$BIN/python" -m mlcore "$@"; }
wanted() { case " ${ONLY:-$1} " in *" $1 "*) ;; *) return 1 ;; esac }

# make NAME VERSION MANIFEST GROUP TERMS SEARCH SETTINGS: search, cross-validate, learn every group by the same settings.
make() {
  name=$1 version=$2 manifest=$3 group=$4 terms=$5 search=$6 settings=$7
  wanted "$name" || return 0
  of="--task ${name%-*} --network ${name#*-} --manifest $manifest --group $group"
  case " $settings " in *" --bfloat16 "*) search="$search --bfloat16" ;; esac
  # shellcheck disable=SC2086
  mlcore tune $of $search --out "$RUNS/search-$name"
  # shellcheck disable=SC2086
  mlcore validate $of $settings --batch 32 --augmentation 1 --label-smoothing 0.03 --terms "$terms" \
    --from-study "$RUNS/search-$name" --foreign "$FOREIGN" --out "$RUNS/validated-$name"
  # shellcheck disable=SC2086
  mlcore train $of --terms "$terms" --validated "$RUNS/validated-$name" --out "$RUNS/$name" --to "$BUNDLES/$name" \
    --version "$version"
}

cells() { make "$1" 2.3.0 "$CELLS" patient_id "$CELL_TERMS" "--epochs 3 --size 64 --share 0.3 --minutes 6" "$2 --tempering 0.6"; }
fields() { make "$1" 2.2.0 "$FIELDS" block "$FIELD_TERMS" "--epochs 3 --size 64 --share 1 --minutes $3" "$2"; }

cells cell-mobilenet "--epochs 7"
fields field-mobilenet "--epochs 14" 4
fields field-cnn "--epochs 30 --bfloat16" 2
cells cell-cnn "--epochs 11 --bfloat16"

# report NAME OTHER MANIFEST GROUP: beside the other network of the task, once that one is cross-validated too.
report() {
  [ -f "$BUNDLES/$1/card.json" ] && [ -f "$RUNS/validated-$1/validation.json" ] || return 0
  beside=
  [ ! -f "$RUNS/validated-$2/validation.json" ] || beside="--sibling $BUNDLES/$2 --sibling-validated $RUNS/validated-$2"
  # shellcheck disable=SC2086
  mlcore report --bundle "$BUNDLES/$1" --validated "$RUNS/validated-$1" $beside --study "$RUNS/search-$1" \
    --manifest "$3" --group "$4" --out "$RUNS/report-$1"
}

report cell-mobilenet cell-cnn "$CELLS" patient_id
report cell-cnn cell-mobilenet "$CELLS" patient_id
report field-mobilenet field-cnn "$FIELDS" block
report field-cnn field-mobilenet "$FIELDS" block
