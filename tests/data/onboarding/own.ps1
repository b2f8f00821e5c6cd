# In the Microsoft tenant that has the domain of sbc.contoso.example.
Connect-MicrosoftTeams
New-CsOnlinePSTNGateway -Fqdn sbc.contoso.example -SipSignalingPort 5061 -MaxConcurrentSessions 40 `
  -FailoverTimeSeconds 20 -FailoverResponseCodes "408,503,504" -ForwardCallHistory $true `
  -SendSipOptions $true -MediaBypass $true -Enabled $true

Set-CsOnlinePstnUsage -Identity Global -Usage @{Add='portcullis-contoso'}
New-CsOnlineVoiceRoute -Identity 'portcullis-contoso' -NumberPattern '.*' -Priority 1 `
  -OnlinePstnGatewayList sbc.contoso.example -OnlinePstnUsages 'portcullis-contoso'
New-CsOnlineVoiceRoutingPolicy -Identity 'portcullis-contoso' -OnlinePstnUsages 'portcullis-contoso'

# Who has which number: fill in the users' names; those left empty are left out.
$users = [ordered]@{
  '+14255550100' = ''
  '+14255550101' = ''
  '+14255550102' = ''
  # and, one line a number, those of +14255551000 to +14255551999
}
foreach ($number in $users.Keys) {
  $user = $users[$number]
  if (-not $user) { continue }
  Set-CsPhoneNumberAssignment -Identity $user -TelephoneNumber $number -NumberType DirectRouting
  Grant-CsOnlineVoiceRoutingPolicy -Identity $user -PolicyName 'portcullis-contoso'
}
