"""Which FHIR interaction a request is, from its method and path (FHIR R4 §3.1.0; S49–S51).

Names are `Type.interaction` ('Patient.read', 'Patient.search') or 'system.…'. There are only so many of them, whatever a
client sends, so that they can label metrics and audit without carrying anything of the path itself.
"""

from __future__ import annotations

from typing import Final

RESOURCE_TYPES: Final = frozenset(
    b"""
    Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary
    BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem
    ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication CommunicationRequest
    CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage CoverageEligibilityRequest
    CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement
    DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis Encounter Endpoint EnrollmentRequest
    EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario ExplanationOfBenefit
    FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization
    ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List Location
    Measure MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge MedicationRequest
    MedicationStatement MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication
    MedicinalProductIndication MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured
    MedicinalProductPackaged MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition MessageHeader
    MolecularSequence NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition OperationOutcome
    Organization OrganizationAffiliation Parameters Patient PaymentNotice PaymentReconciliation Person PlanDefinition
    Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse RelatedPerson RequestGroup
    ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment RiskEvidenceSynthesis Schedule
    SearchParameter ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition StructureMap Subscription Substance
    SubstanceNucleicAcid SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial
    SubstanceSpecification SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport TestScript ValueSet
    VerificationResult VisionPrescription
    """.split()
)  # fmt: skip

OPERATIONS: Final = frozenset(
    b"""
    $apply $closure $conforms $data-requirements $document $evaluate-measure $everything $expand $export $find $find-matches
    $graph $graphql $implements $lastn $lookup $match $merge $meta $meta-add $meta-delete $populate $process-message
    $questionnaire $snapshot $stats $subsumes $subset $transform $translate $validate $validate-code $versions
    """.split()
)

_TYPE_LEVEL: Final = {"GET": "search", "HEAD": "search", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_INSTANCE_LEVEL: Final = {"GET": "read", "HEAD": "read", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SYSTEM_LEVEL: Final = {"GET": "system.search", "HEAD": "system.search", "POST": "system.batch", "DELETE": "system.delete"}
OTHER: Final = "other"


def interaction(method: str, below: bytes) -> str:
    """The name of the interaction that `method` on `below` (the raw path below the service base, '/Patient/123') is."""
    segments = below.strip(b"/").split(b"/", 5)
    first = segments[0]
    if first in RESOURCE_TYPES:
        return _on_type(method, first.decode(), segments)
    if not first:
        return _SYSTEM_LEVEL.get(method, OTHER)
    if len(segments) > 1:
        return OTHER
    if first == b"metadata":
        return "system.capabilities"
    if first == b"_history":
        return "system.history"
    if first == b"_search":
        return "system.search"
    return f"system.{_operation(first)}" if first[:1] == b"$" else OTHER


def _on_type(method: str, name: str, segments: list[bytes]) -> str:
    depth = len(segments)
    if depth == 1:
        what = _TYPE_LEVEL.get(method)
    elif depth == 2:
        second = segments[1]
        if second[:1] == b"$":
            what = _operation(second)
        elif second == b"_search":
            what = "search"
        elif second == b"_history":
            what = "history"
        else:
            what = _INSTANCE_LEVEL.get(method)
    elif depth == 3:
        third = segments[2]
        what = _operation(third) if third[:1] == b"$" else "history" if third == b"_history" else "compartment"
    else:
        what = "vread" if depth == 4 and segments[2] == b"_history" else None
    return f"{name}.{what}" if what else OTHER


def _operation(name: bytes) -> str:
    return name.decode() if name in OPERATIONS else "$other"
