"""The code systems that resources name, and which of our words have a code in them.

LOINC codes: LOINC 2.80, panels 24318-8 and 24359-2. ICD-O-3 morphology comes from `diagnosis.vocabulary`.
"""

from __future__ import annotations

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
ICD_O_3 = "http://terminology.hl7.org/CodeSystem/icd-o-3"
URI = "urn:ietf:rfc:3986"
_HL7 = "http://terminology.hl7.org/CodeSystem/"
IDENTIFIER_TYPE = f"{_HL7}v2-0203"
SERVICE_SECTION = f"{_HL7}v2-0074"
OBSERVATION_CATEGORY = f"{_HL7}observation-category"
MEDIA_TYPE = f"{_HL7}media-type"

_OURS = "urn:x-leukolens:"
IMAGE_CLASS = f"{_OURS}image-class"  # the classes of `mlcore.bundle.TASKS`
OBSERVATION = f"{_OURS}observation"  # what an Observation or one of its components is about
STATEMENT = f"{_OURS}statement"  # diagnoses of `diagnosis.vocabulary` that are no neoplasm
CYTOGENETIC_FINDING = f"{_OURS}cytogenetic-finding"
MARKER = f"{_OURS}marker"
MARKER_STATE = f"{_OURS}marker-state"
IMAGE_KIND = f"{_OURS}image-kind"
VERDICT = f"{_OURS}verdict"
NOTICE = f"{_OURS}notice"
#: The tag of a resource that was asked for in part.
SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "Resource encoded in summary mode",
}

Code = tuple[str, str, str]  # system, code, display

#: By specimen: what a report of it is.
REPORT: dict[str, Code] = {
    "peripheral_blood": (LOINC, "5909-7", "Blood smear finding [Identifier] in Blood by Light microscopy"),
    "bone_marrow": (LOINC, "48807-2", "Bone marrow aspiration report"),
}
SPECIMEN: dict[str, Code] = {
    "peripheral_blood": (SNOMED, "119297000", "Blood specimen"),
    "bone_marrow": (SNOMED, "119359002", "Bone marrow specimen"),
}
HAEMATOLOGY: Code = (SERVICE_SECTION, "HM", "Hematology")
LABORATORY: Code = (OBSERVATION_CATEGORY, "laboratory", "Laboratory")
MRN: Code = (IDENTIFIER_TYPE, "MR", "Medical record number")
ACCESSION: Code = (IDENTIFIER_TYPE, "ACSN", "Accession ID")
IMAGE: Code = (MEDIA_TYPE, "image", "Image")
RESEARCH_USE: Code = (NOTICE, "research-use-only", "Research use only – not for diagnostic use")

#: Figures of the clinical data: field → code, unit as UCUM writes it, unit as people read it.
COUNTS: dict[str, tuple[Code, str, str]] = {
    "wbc": ((LOINC, "26464-8", "Leukocytes [#/volume] in Blood"), "10*9/L", "10⁹/l"),
    "haemoglobin": ((LOINC, "718-7", "Hemoglobin [Mass/volume] in Blood"), "g/dL", "g/dl"),
    "platelets": ((LOINC, "26515-7", "Platelets [#/volume] in Blood"), "10*9/L", "10⁹/l"),
    "blasts": ((LOINC, "26446-5", "Blasts/100 leukocytes in Blood"), "%", "%"),
}
FINDING: Code = (OBSERVATION, "cytogenetic-finding", "Cytogenetic finding")
CYTOGENETICS: Code = (OBSERVATION, "cytogenetics", "Cytogenetic findings")
IMMUNOPHENOTYPE: Code = (OBSERVATION, "immunophenotype", "Immunophenotype")
MARKER_STATES: dict[str, Code] = {
    "positive": (SNOMED, "10828004", "Positive"),
    "negative": (SNOMED, "260385009", "Negative"),
    "dim": (MARKER_STATE, "dim", "Dim"),
}

READING: dict[str, Code] = {
    "cell": (OBSERVATION, "cell-class", "Class of a single cell"),
    "field": (OBSERVATION, "field-class", "Pattern of a microscope field"),
}
MALIGNANT: Code = (OBSERVATION, "malignant-probability", "Probability of a malignant class")
NOVELTY: Code = (OBSERVATION, "novelty", "How unlike the training data, 0 to 1")
NOVEL: Code = (OBSERVATION, "novel", "Unlike the training data: not to be relied on")
VERDICT_GIVEN: Code = (OBSERVATION, "verdict", "Whether the person agreed with the networks' reading")
ASSESSMENT: Code = (OBSERVATION, "blood-cancer-probability", "Probability of blood cancer from all images of the case")
INTERVAL_LOW: Code = (OBSERVATION, "interval-95-low", "Lower end of the 95 % interval")
INTERVAL_HIGH: Code = (OBSERVATION, "interval-95-high", "Upper end of the 95 % interval")
FLAG: Code = (OBSERVATION, "flag", "Flag raised by the assessment")
COUNTED: Code = (OBSERVATION, "cells-counted", "Cells counted")
DIFFERENTIAL: dict[str, list[Code]] = {
    "peripheral_blood": [
        (LOINC, "24318-8", "Manual Differential panel - Blood"),
        (OBSERVATION, "differential", "Differential of the smear"),
    ],
    "bone_marrow": [(OBSERVATION, "differential", "Differential of the smear")],
}
#: Cell class → share of the leukocytes in blood, where LOINC has that share.
SHARES: dict[str, Code] = {
    "basophil": (LOINC, "30180-4", "Basophils/100 leukocytes in Blood"),
    "blast": (LOINC, "26446-5", "Blasts/100 leukocytes in Blood"),
    "eosinophil": (LOINC, "26450-7", "Eosinophils/100 leukocytes in Blood"),
    "lymphocyte": (LOINC, "26478-8", "Lymphocytes/100 leukocytes in Blood"),
    "monocyte": (LOINC, "26485-3", "Monocytes/100 leukocytes in Blood"),
    "neutrophil": (LOINC, "26511-6", "Neutrophils/100 leukocytes in Blood"),
    "plasma_cell": (LOINC, "13047-6", "Plasma cells/100 leukocytes in Blood"),
    "promyelocyte": (LOINC, "26524-9", "Promyelocytes/100 leukocytes in Blood"),
}
