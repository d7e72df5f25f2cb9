#!/bin/sh
# Makes the four networks that ship, with their reports. Every step resumes: run it again after a stop or a kill.
#   CELLS=cells/manifest.csv FIELDS=fields/manifest.csv FOREIGN=detection/annotations.csv sh scripts/train_models.sh
# Two hours and a half on two cores, with one half of ONLY in each of two shells:
#   ONLY="cell-mobilenet field-mobilenet" and ONLY="cell-cnn field-cnn". What it gave is told in docs/models.md.
set -eu
BIN=${BIN:-.venv/bin}
RUNS=${RUNS:-var/train}
BUNDLES=${BUNDLES:-mlcore/bundles}
VERSION=${VERSION:-2.0.0}
: "${CELLS:?the manifest of single cells}" "${FIELDS:?the manifest of microscope fields}"
: "${FOREIGN:?boxes on the fields of another microscope}"
CELL_TERMS="Johns Hopkins, Sidhom et al., npj Precision Oncology 2021 (DeepAPL discovery cohort); copyright line only, no licence granted: research use"
FIELD_TERMS="Taleqani Hospital, Tehran, Aria / Ghaderzadeh et al. 2021-22; research use, the authors ask not to redistribute the images"
# One thread for each run, so that two can go side by side; freed memory stays at hand for the next step.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000

mlcore() { "$BIN/python" -m mlcore "$@"; }
wanted() { case " ${ONLY:-$1} " in *" $1 "*) ;; *) return 1 ;; esac }

# cell NETWORK SETTINGS…: a fifth of the patients is held out.
cell() {
  name=cell-$1
  wanted "$name" || return 0
  of="--task cell --network $1 --manifest $CELLS --group patient_id --out $RUNS/$name"
  shift
  # shellcheck disable=SC2086
  mlcore train $of "$@" --batch 32 --augmentation 0.9 --tempering 0.6 --terms "$CELL_TERMS" --to "$BUNDLES/$name" \
    --version "$VERSION"
}

# field NETWORK EPOCHS SEARCH-EPOCHS OPTION…: searched, cross-validated, then trained on every block.
field() {
  name=field-$1 network=$1 epochs=$2 short=$3
  wanted "$name" || return 0
  shift 3
  of="--task field --network $network --manifest $FIELDS --group block $*"
  # shellcheck disable=SC2086
  mlcore tune $of --epochs "$short" --size 64 --share 1 --minutes 2 --out "$RUNS/search-$name"
  # shellcheck disable=SC2086
  mlcore validate $of --epochs "$epochs" --batch 32 --augmentation 0.9 --from-study "$RUNS/search-$name" \
    --foreign "$FOREIGN" --terms "$FIELD_TERMS" --out "$RUNS/validated-$name"
  # shellcheck disable=SC2086
  mlcore train $of --validated "$RUNS/validated-$name" --terms "$FIELD_TERMS" --out "$RUNS/$name" \
    --to "$BUNDLES/$name" --version "$VERSION"
}

cell mobilenet --epochs 10 --small-size 128
cell cnn --epochs 24 --bfloat16
field mobilenet 5 3
field cnn 12 4 --bfloat16

# Reports need both networks of a task.
for network in mobilenet cnn; do
  other=$([ "$network" = cnn ] && echo mobilenet || echo cnn)
  if [ -f "$RUNS/cell-$network/checkpoint.pt" ] && [ -f "$BUNDLES/cell-$other/card.json" ]; then
    mlcore evaluate --bundle "$BUNDLES/cell-$network" --sibling "$BUNDLES/cell-$other" --manifest "$CELLS" \
      --group patient_id --held-out "$RUNS/cell-$network" --out "$RUNS/report-cell-$network"
  fi
  if [ -f "$RUNS/validated-field-$network/validation.json" ] && [ -f "$RUNS/validated-field-$other/validation.json" ]; then
    mlcore report --bundle "$BUNDLES/field-$network" --validated "$RUNS/validated-field-$network" \
      --study "$RUNS/search-field-$network" --sibling "$BUNDLES/field-$other" \
      --sibling-validated "$RUNS/validated-field-$other" --manifest "$FIELDS" --group block \
      --out "$RUNS/report-field-$network"
  fi
done
