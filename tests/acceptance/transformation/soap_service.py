"""An old patient administration system: SOAP 1.1 over HTTP, and strict. What it is sent must be valid by its schema."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lxml import etree

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
PAS = "urn:northshire:pas"
SCHEMA = etree.XMLSchema(
    etree.fromstring(
        f"""
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:p="{PAS}" targetNamespace="{PAS}" elementFormDefault="qualified">
  <xs:element name="FindPatients"><xs:complexType><xs:sequence>
    <xs:element name="Number" type="xs:string" minOccurs="0"/>
    <xs:element name="Surname" type="xs:string" minOccurs="0"/>
    <xs:element name="Born" minOccurs="0">
      <xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="[0-3][0-9]/[01][0-9]/[0-9]{{4}}"/></xs:restriction>
      </xs:simpleType>
    </xs:element>
  </xs:sequence></xs:complexType></xs:element>
  <xs:complexType name="patient"><xs:sequence>
    <xs:element name="Number" type="xs:string"/>
    <xs:element name="Surname" type="xs:string"/>
    <xs:element name="Forename" type="xs:string" minOccurs="0" maxOccurs="unbounded"/>
    <xs:element name="Sex"><xs:simpleType><xs:restriction base="xs:string"><xs:enumeration value="M"/><xs:enumeration value="F"/>
      </xs:restriction></xs:simpleType></xs:element>
    <xs:element name="Born" type="xs:string"/>
    <xs:element name="Ward" type="xs:string" minOccurs="0"/>
  </xs:sequence></xs:complexType>
  <xs:element name="GetPatient"><xs:complexType><xs:sequence><xs:element name="Number" type="xs:string"/></xs:sequence>
    </xs:complexType></xs:element>
  <xs:element name="AddPatient"><xs:complexType><xs:sequence><xs:element name="Patient" type="p:patient"/></xs:sequence>
    </xs:complexType></xs:element>
</xs:schema>"""
    )
)


class Pas:
    """The system's patients, by number, as the rows that it keeps of them; and what it has been asked."""

    def __init__(self) -> None:
        self.patients: dict[str, dict[str, str | list[str]]] = {
            "9000000009": {"Surname": "Khan", "Forename": ["Aisha", "Bano"], "Sex": "F", "Born": "02/01/1980", "Ward": "7"},
            "9000000017": {"Surname": "Khan", "Forename": ["Imran"], "Sex": "M", "Born": "03/02/1981"},
        }
        self.asked: list[str] = []

    def answer(self, content: bytes, fields: dict[str, str]) -> tuple[int, bytes]:
        """What a request is answered: a status and an envelope."""
        root = etree.fromstring(content)
        body = root.find(f"{{{SOAP}}}Body")
        if root.tag != f"{{{SOAP}}}Envelope" or body is None or len(body) != 1:
            return self._fault("Client", "There is no request")
        request = body[0]
        name = etree.QName(request).localname
        if fields.get("soapaction") != f'"{PAS}/{name}"' or not fields.get("content-type", "").startswith("text/xml"):
            return self._fault("Client", "The header fields are not those of the request")
        if not SCHEMA.validate(request):
            return self._fault("Client", f"The request is not valid: {SCHEMA.error_log.last_error}")  # type: ignore[attr-defined]
        self.asked.append(name)
        return getattr(self, f"_{name}")(request)  # type: ignore[no-any-return]

    def _GetPatient(self, request: etree._Element) -> tuple[int, bytes]:  # noqa: N802
        number = request.findtext(f"{{{PAS}}}Number", "")
        if number == "0":
            return self._fault("Server", "The disk is full")
        known = self.patients.get(number)
        said = self._patient(number, known) if known else "<p:Error code='NF'>No such patient</p:Error>"
        return self._said(f"<p:GetPatientResult xmlns:p='{PAS}'>{said}</p:GetPatientResult>")

    def _FindPatients(self, request: etree._Element) -> tuple[int, bytes]:  # noqa: N802
        number, surname, born = (request.findtext(f"{{{PAS}}}{name}") for name in ("Number", "Surname", "Born"))
        found = [
            self._patient(each, row)
            for each, row in self.patients.items()
            if number in (None, each) and surname in (None, row["Surname"]) and born in (None, row["Born"])
        ]
        return self._said(
            f"<p:FindPatientsResult xmlns:p='{PAS}'>{''.join(found)}<p:Count>{len(found)}</p:Count></p:FindPatientsResult>"
        )

    def _AddPatient(self, request: etree._Element) -> tuple[int, bytes]:  # noqa: N802
        row: dict[str, str | list[str]] = {"Forename": []}
        for field in request[0]:
            name, text = etree.QName(field).localname, field.text or ""
            before = row.get(name)
            if isinstance(before, list):
                before.append(text)
            else:
                row[name] = text
        number = str(row.pop("Number"))
        if number in self.patients:
            return self._said(
                f"<p:AddPatientResult xmlns:p='{PAS}'><p:Error code='EXISTS'>Known already</p:Error></p:AddPatientResult>"
            )
        self.patients[number] = row
        return self._said(f"<p:AddPatientResult xmlns:p='{PAS}'>{self._patient(number, row)}</p:AddPatientResult>")

    def _patient(self, number: str, row: dict[str, str | list[str]]) -> str:
        said = [f"<p:Number>{number}</p:Number>"]
        for name in ("Surname", "Forename", "Sex", "Born", "Ward"):
            values = row.get(name, [])
            said += [f"<p:{name}>{value}</p:{name}>" for value in (values if isinstance(values, list) else [values])]
        return f"<p:Patient>{''.join(said)}</p:Patient>"

    def _said(self, body: str) -> tuple[int, bytes]:
        return 200, f"<s:Envelope xmlns:s='{SOAP}'><s:Body>{body}</s:Body></s:Envelope>".encode()

    def _fault(self, code: str, text: str) -> tuple[int, bytes]:
        fault = etree.Element(f"{{{SOAP}}}Fault", nsmap={"s": SOAP})
        etree.SubElement(fault, "faultcode").text = f"s:{code}"
        etree.SubElement(fault, "faultstring").text = text
        _, content = self._said(etree.tostring(fault).decode())
        return 500, content


@contextmanager
def served(answer: Callable[[bytes, dict[str, str]], tuple[int, bytes]], content_type: str = "text/xml") -> Iterator[str]:
    """A real HTTP server that answers POST; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", "0")))
            status, said = answer(content, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
