"""The words that a report, a second opinion and clinical data are coded in.

Diagnoses carry their ICD-O-3.2 morphology (IACR 2020) and the name that the WHO Classification of Haematolymphoid
Tumours, 5th edition (Leukemia 2022; 36: 1703 and 1720), uses now. Statements that are no neoplasm have a word for a
code. A code is never taken away, only marked as no longer offered, because signed reports name it.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Group of diagnoses → its name. Two opinions agree when their groups are the same: within a group the smear alone
#: often cannot tell, and genetics decides.
GROUPS = {
    "apl": "Acute promyelocytic leukaemia",
    "aml": "Acute myeloid leukaemia",
    "b_all": "B-lymphoblastic leukaemia",
    "t_all": "T-lymphoblastic leukaemia",
    "acute_other": "Acute leukaemia of ambiguous lineage",
    "mds": "Myelodysplastic neoplasms",
    "mpn": "Myeloproliferative neoplasms",
    "mds_mpn": "Myelodysplastic/myeloproliferative neoplasms",
    "mature_b": "Mature B-cell leukaemias and lymphomas",
    "mature_t": "Mature T- and NK-cell leukaemias",
    "plasma_cell": "Plasma cell neoplasms",
    "benign": "No blood cancer",
    "open": "Not settled",
}

_BENIGN = frozenset({"benign", "open"})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One entry of the pick list. `code`: ICD-O-3.2 morphology, or a word where it is no neoplasm."""

    code: str
    name: str
    group: str

    @property
    def malignant(self) -> bool:
        """It states a blood cancer."""
        return self.group not in _BENIGN

    @property
    def shown(self) -> str:
        """As a report prints it: the name, and the code where there is one."""
        return f"{self.name} (ICD-O-3 {self.code})" if self.malignant else self.name


def _entries(group: str, *pairs: tuple[str, str]) -> list[Diagnosis]:
    return [Diagnosis(code, name, group) for code, name in pairs]


_ALL = [
    *_entries("apl", ("9866/3", "Acute promyelocytic leukaemia with PML::RARA")),
    *_entries(
        "aml",
        ("9861/3", "Acute myeloid leukaemia, not further specified"),
        ("9896/3", "AML with RUNX1::RUNX1T1 fusion"),
        ("9871/3", "AML with CBFB::MYH11 fusion"),
        ("9897/3", "AML with KMT2A rearrangement"),
        ("9865/3", "AML with DEK::NUP214 fusion"),
        ("9869/3", "AML with MECOM rearrangement"),
        ("9911/3", "AML with RBM15::MRTFA fusion"),
        ("9912/3", "AML with BCR::ABL1 fusion"),
        ("9877/3", "AML with NPM1 mutation"),
        ("9878/3", "AML with CEBPA mutation"),
        ("9895/3", "AML, myelodysplasia-related"),
        ("9872/3", "AML with minimal differentiation"),
        ("9873/3", "AML without maturation"),
        ("9874/3", "AML with maturation"),
        ("9867/3", "Acute myelomonocytic leukaemia"),
        ("9891/3", "Acute monocytic leukaemia"),
        ("9870/3", "Acute basophilic leukaemia"),
        ("9840/3", "Acute erythroid leukaemia"),
        ("9910/3", "Acute megakaryoblastic leukaemia"),
        ("9920/3", "Myeloid neoplasm post cytotoxic therapy"),
    ),
    *_entries(
        "b_all",
        ("9811/3", "B-lymphoblastic leukaemia, not further specified"),
        ("9812/3", "B-ALL with BCR::ABL1 fusion"),
        ("9819/3", "B-ALL with BCR::ABL1-like features"),
        ("9813/3", "B-ALL with KMT2A rearrangement"),
        ("9814/3", "B-ALL with ETV6::RUNX1 fusion"),
        ("9815/3", "B-ALL with high hyperdiploidy"),
        ("9816/3", "B-ALL with hypodiploidy"),
        ("9817/3", "B-ALL with IGH::IL3 fusion"),
        ("9818/3", "B-ALL with TCF3::PBX1 fusion"),
    ),
    *_entries("t_all", ("9837/3", "T-lymphoblastic leukaemia")),
    *_entries(
        "acute_other",
        ("9801/3", "Acute undifferentiated leukaemia"),
        ("9805/3", "Mixed-phenotype acute leukaemia"),
        ("9806/3", "Mixed-phenotype acute leukaemia with BCR::ABL1 fusion"),
    ),
    *_entries(
        "mds",
        ("9989/3", "Myelodysplastic neoplasm, not further specified"),
        ("9985/3", "MDS with low blasts"),
        ("9983/3", "MDS with increased blasts"),
        ("9986/3", "MDS with low blasts and isolated 5q deletion"),
        ("9982/3", "MDS with low blasts and SF3B1 mutation"),
    ),
    *_entries(
        "mpn",
        ("9875/3", "Chronic myeloid leukaemia, BCR::ABL1-positive"),
        ("9950/3", "Polycythaemia vera"),
        ("9962/3", "Essential thrombocythaemia"),
        ("9961/3", "Primary myelofibrosis"),
        ("9963/3", "Chronic neutrophilic leukaemia"),
        ("9964/3", "Chronic eosinophilic leukaemia"),
    ),
    *_entries(
        "mds_mpn",
        ("9945/3", "Chronic myelomonocytic leukaemia"),
        ("9946/3", "Juvenile myelomonocytic leukaemia"),
        ("9876/3", "MDS/MPN with neutrophilia"),
    ),
    *_entries(
        "mature_b",
        ("9823/3", "Chronic lymphocytic leukaemia / small lymphocytic lymphoma"),
        ("9940/3", "Hairy cell leukaemia"),
        ("9833/3", "Splenic B-cell lymphoma/leukaemia with prominent nucleoli"),
        ("9689/3", "Splenic marginal zone lymphoma"),
        ("9673/3", "Mantle cell lymphoma, leukaemic"),
        ("9690/3", "Follicular lymphoma, leukaemic"),
        ("9687/3", "Burkitt lymphoma, leukaemic"),
        ("9671/3", "Lymphoplasmacytic lymphoma"),
    ),
    *_entries(
        "mature_t",
        ("9834/3", "T-prolymphocytic leukaemia"),
        ("9831/3", "T-large granular lymphocytic leukaemia"),
        ("9827/3", "Adult T-cell leukaemia/lymphoma"),
        ("9701/3", "Sézary syndrome"),
        ("9948/3", "Aggressive NK-cell leukaemia"),
    ),
    *_entries(
        "plasma_cell",
        ("9732/3", "Plasma cell myeloma"),
        ("9733/3", "Plasma cell leukaemia"),
    ),
    *_entries(
        "benign",
        ("normal", "No evidence of blood cancer in this smear"),
        ("reactive", "Reactive changes, no evidence of blood cancer"),
        ("haematogones", "Haematogones (regenerating B-cell precursors), no evidence of blood cancer"),
        ("remission", "No blasts by morphology under or after treatment"),
    ),
    *_entries(
        "open",
        ("suspicious", "Suspicious of blood cancer, further tests needed"),
        ("insufficient", "Material not sufficient for a statement, repeat the smear"),
    ),
]

#: Code → entry, in the order of the pick list.
DIAGNOSES: dict[str, Diagnosis] = {entry.code: entry for entry in _ALL}

#: Code → finding, as ISCN 2020 and HGVS (`::` for a fusion) write it.
CYTOGENETICS: dict[str, str] = {
    "normal": "Normal karyotype",
    "t_15_17": "t(15;17)(q24;q21), PML::RARA",
    "t_8_21": "t(8;21)(q22;q22), RUNX1::RUNX1T1",
    "inv_16": "inv(16)(p13q22) or t(16;16), CBFB::MYH11",
    "kmt2a": "11q23, KMT2A rearrangement",
    "t_6_9": "t(6;9)(p23;q34), DEK::NUP214",
    "mecom": "inv(3)(q21q26) or t(3;3), MECOM rearrangement",
    "t_9_22": "t(9;22)(q34;q11), BCR::ABL1",
    "t_12_21": "t(12;21)(p13;q22), ETV6::RUNX1",
    "t_1_19": "t(1;19)(q23;p13), TCF3::PBX1",
    "hyperdiploid": "High hyperdiploidy (51–65 chromosomes)",
    "hypodiploid": "Hypodiploidy (fewer than 44 chromosomes)",
    "del_5q": "del(5q)",
    "minus_7": "−7 or del(7q)",
    "plus_8": "+8",
    "del_20q": "del(20q)",
    "del_13q": "del(13q)",
    "plus_12": "+12",
    "del_17p": "del(17p), TP53",
    "t_11_14": "t(11;14)(q13;q32), IGH::CCND1",
    "t_8_14": "t(8;14)(q24;q32), IGH::MYC",
    "complex": "Complex karyotype (three or more changes)",
}

#: Markers of flow cytometry or immunohistochemistry, by lineage.
MARKERS: dict[str, tuple[str, ...]] = {
    "Immature": ("CD34", "CD117", "TdT", "HLA-DR"),
    "Myeloid": ("MPO", "CD13", "CD33", "CD11b", "CD15"),
    "Monocytic": ("CD14", "CD64", "Lysozyme"),
    "B": ("CD19", "CD10", "CD20", "CD22", "CD79a", "CD23", "CD200", "FMC7", "Kappa", "Lambda"),
    "T and NK": ("cCD3", "CD3", "CD2", "CD5", "CD7", "CD4", "CD8", "CD56"),
    "Plasma cell": ("CD38", "CD138"),
    "Other": ("CD1a", "CD25", "CD41", "CD61", "CD71", "CD103", "CD123", "CD235a"),
}

#: What a marker can be; a marker that is not named was not tested.
MARKER_STATES = {"positive": "+", "dim": "dim", "negative": "−"}


def same_diagnosis(one: str, other: str) -> bool:
    """Whether two codes state the same group of diseases. Raises KeyError for a code that is none."""
    return DIAGNOSES[one].group == DIAGNOSES[other].group
