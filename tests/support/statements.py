"""Bank statements as banks write them, by hand: nothing here knows how they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

ACCOUNT = "DE89370400440532013000"


@dataclass(frozen=True)
class Line:
    """One entry. `amount` is as it is printed; a minus makes it a debit."""

    amount: str
    text: str = ""
    id: str = ""
    currency: str = "EUR"
    structured: str = ""
    end_to_end: str = "NOTPROVIDED"
    name: str = "Ada Lovelace"
    iban: str = "DE02120300000000202051"
    reversal: bool = False
    status: str = "BOOK"
    booked_on: str = "2026-03-02"


def camt(*lines: Line, version: str = "08", statement: str = "2026-03-02/041", account: str = ACCOUNT) -> str:
    """A camt.053 with one statement, as a German bank sends it every morning."""
    entries = "\n".join(entry(line, number, version) for number, line in enumerate(lines, start=1))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}">
 <BkToCstmrStmt>
  <GrpHdr><MsgId>MSG-{statement}</MsgId><CreDtTm>2026-03-03T05:12:00+01:00</CreDtTm></GrpHdr>
  <Stmt>
   <Id>{statement}</Id><ElctrncSeqNb>41</ElctrncSeqNb><CreDtTm>2026-03-03T05:12:00+01:00</CreDtTm>
   <Acct><Id><IBAN>{account}</IBAN></Id><Ccy>EUR</Ccy><Svcr><FinInstnId><BICFI>COBADEFF</BICFI></FinInstnId></Svcr></Acct>
   <Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">1000.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
    <Dt><Dt>2026-03-01</Dt></Dt></Bal>
{entries}
  </Stmt>
 </BkToCstmrStmt>
</Document>
"""


def entry(line: Line, number: int = 1, version: str = "08", more: str = "") -> str:
    """An `Ntry` with one `TxDtls`; older versions have the status as text and the party without `Pty`."""
    old = version < "08"
    debit = line.amount.startswith("-")
    party = "Dbtr" if debit == line.reversal else "Cdtr"
    status = line.status if old else f"<Cd>{line.status}</Cd>"
    name = f"<Nm>{line.name}</Nm>" if old else f"<Pty><Nm>{line.name}</Nm></Pty>"
    structured = f"<Strd><CdtrRefInf><Ref>{line.structured}</Ref></CdtrRefInf></Strd>" if line.structured else ""
    free = f"<Ustrd>{line.text}</Ustrd>" if line.text else ""
    return f"""   <Ntry>
    <NtryRef>{number}</NtryRef><Amt Ccy="{line.currency}">{line.amount.removeprefix("-")}</Amt>
    <CdtDbtInd>{"DBIT" if debit else "CRDT"}</CdtDbtInd>{"<RvslInd>true</RvslInd>" if line.reversal else ""}
    <Sts>{status}</Sts><BookgDt><Dt>{line.booked_on}</Dt></BookgDt><ValDt><Dt>{line.booked_on}</Dt></ValDt>
    <AcctSvcrRef>{line.id or f"20260302{number:05}"}</AcctSvcrRef>
    <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>
    <NtryDtls><TxDtls>
     <Refs><EndToEndId>{line.end_to_end}</EndToEndId></Refs>
     <RltdPties><{party}>{name}</{party}><{party}Acct><Id><IBAN>{line.iban}</IBAN></Id></{party}Acct></RltdPties>
     <RmtInf>{free}{structured}</RmtInf>{more}
    </TxDtls></NtryDtls>
   </Ntry>"""


def table(lines: Sequence[Line], account: str = ACCOUNT) -> str:
    """The same as CSV."""
    rows = ["account,entry,booked_on,amount,currency,reference,end_to_end_id,text,name,name_account,reversal"]
    for number, line in enumerate(lines, start=1):
        day = date.fromisoformat(line.booked_on)
        rows.append(
            f"{account},{line.id or f'20260302{number:05}'},{day},{line.amount},{line.currency},{line.structured},,"
            f'"{line.text}",{line.name},{line.iban},{"true" if line.reversal else ""}'
        )
    return "\n".join(rows) + "\n"
