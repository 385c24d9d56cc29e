"""The scoring service: one POST, one probability. Weak on purpose: it asks nobody for a credential, and it unpickles its model.

uvicorn service:app --port 8909
"""

from __future__ import annotations

from pathlib import Path

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, Field

MODEL = joblib.load(Path(__file__).resolve().parent / "models" / "scorer.joblib")  # a pickle: runs what the file says

app = FastAPI(title="Credit score", version="1.4")


class Applicant(BaseModel):
    """What an applicant states; the names are those of the data set."""

    status_of_existing_checking_account: str
    duration_in_month: int = Field(ge=1, le=120)
    credit_history: str
    purpose: str
    credit_amount: int = Field(ge=1)
    savings_account_and_bonds: str
    present_employment_since: str
    installment_rate_in_percentage_of_disposable_income: int
    personal_status_and_sex: str
    other_debtors_or_guarantors: str
    present_residence_since: int
    property: str
    age_in_years: int
    other_installment_plans: str
    housing: str
    number_of_existing_credits_at_this_bank: int
    job: str
    number_of_people_being_liable_to_provide_maintenance_for: int
    telephone: str
    foreign_worker: str


class Score(BaseModel):
    """The probability that the credit is repaid, with all its digits, and the decision at 0.5."""

    probability_good: float
    decision: str


@app.get("/health")
def health() -> dict[str, str]:
    """Is the service up?"""
    return {"status": "ok"}


@app.post("/score")
def score(applicant: Applicant) -> Score:
    """The score of one applicant."""
    row = pd.DataFrame([applicant.model_dump()])
    good = float(MODEL.predict_proba(row)[0, list(MODEL.classes_).index("good")])
    return Score(probability_good=good, decision="grant" if good >= 0.5 else "refuse")
